import { join } from 'node:path';
import {
  type AdapterCommitment,
  type AdapterSecret,
  adapterId,
  moduleBlinders,
  type QuantizedModule,
} from '../../src/adapter/index.js';
import { hexToBytes } from '../../src/bytes.js';
import type { ParameterSet } from '../../src/circuit/index.js';
import { ensureNewFolder, writeFileAtomic } from '../../src/files.js';
import { rowsRootOf } from '../../src/settlement/deliver.js';
import { describeDelivery, serializeDeliveryDescription } from '../../src/settlement/deliveryDescription.js';
import { sealDelivery, sealedBytes } from '../../src/settlement/deliverySeal.js';
import {
  cipherLeaf,
  encodeRow,
  keccak256,
  keyHashOf,
  MerkleTree,
  RowCipher,
  settlementRows,
} from '../../src/settlement/index.js';
import { makeMasterKey } from '../../src/settlement/keyFiles.js';

/** What a contributor who means to cheat starts from. */
export interface CheatOptions {
  readonly commitment: AdapterCommitment;
  readonly secret: AdapterSecret;
  readonly modules: readonly QuantizedModule[];
  readonly parameters: ParameterSet;
  /** Delivery key of the buyer, hex. */
  readonly buyerKey: string;
}

/**
 * Writes what `zklora deliver` would refuse to: a delivery under the registered commitment with one weight changed by one
 * quantisation step. Everything else is honest, and nobody can tell before the key is out.
 *
 * @returns the changed weight, for people
 */
export async function deliverWrongWeight(dir: string, options: CheatOptions): Promise<string> {
  const { commitment, secret, modules, parameters, buyerKey } = options;
  await ensureNewFolder(dir);
  const masterKey = await makeMasterKey(join(dir, 'master.key'));
  const rows = settlementRows(commitment);
  const changed = rows[0]!;
  const cipher = new RowCipher(masterKey);
  const ciphertexts = rows.map((row) => {
    const module = modules[row.module]!;
    const blinders = moduleBlinders(hexToBytes(secret.blindingSecret), hexToBytes(commitment.salt), module);
    const matrix = row.matrix === 'A' ? module.a : module.bT;
    const values = matrix.slice(row.rank * row.length, (row.rank + 1) * row.length);
    if (row === changed) values[0]! ^= 1;
    const blinder = (row.matrix === 'A' ? blinders.a : blinders.b)[row.rank]!;
    const bytes = encodeRow({ values, blinder });
    cipher.apply(row.row, bytes);
    return bytes;
  });
  const contentBytes = ciphertexts.reduce((sum, { length }) => sum + length, 0);
  const sealer = sealDelivery(hexToBytes(buyerKey), hexToBytes(adapterId(commitment)), contentBytes);
  const parts = async function* () {
    yield* ciphertexts;
  };
  await writeFileAtomic(join(dir, 'adapter.delivery'), sealedBytes(sealer, parts()));
  const digests = {
    rowsRoot: rowsRootOf(rows),
    cipherRoot: new MerkleTree(ciphertexts.map((bytes, row) => cipherLeaf(row, keccak256(bytes)))).root,
    keyHash: keyHashOf(masterKey),
  };
  const description = describeDelivery(digests, commitment, parameters);
  await writeFileAtomic(join(dir, 'delivery.json'), serializeDeliveryDescription(description));
  return `${commitment.modules[changed.module]!.name} ${changed.matrix}[${changed.rank}][0]`;
}
