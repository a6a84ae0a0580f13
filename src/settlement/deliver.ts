import type { AdapterCommitment, AdapterSecret, QuantizedModule } from '../adapter/index.js';
import { adapterId, assertSecretMatches, moduleBlinders } from '../adapter/index.js';
import type { Engine } from '../algebra/index.js';
import { hexToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';
import type { ProverSrs } from '../kzg/index.js';
import { sealDelivery, sealedBytes } from './deliverySeal.js';
import { keccak256 } from './keccak.js';
import { keyHashOf, RowCipher } from './keystream.js';
import { cipherLeaf, MerkleTree, rowsLeaf } from './merkle.js';
import { RowChecker } from './rowChecker.js';
import {
  encodeRow,
  type PlainRow,
  requireDisputable,
  rowBytes,
  type SettlementRow,
  settlementRows,
} from './rows.js';

/** What {@link Delivery} is made of. */
export interface DeliveryOptions {
  readonly engine: Engine;
  /** Of the commitment's domain. */
  readonly srs: ProverSrs;
  readonly commitment: AdapterCommitment;
  readonly secret: AdapterSecret;
  readonly modules: readonly QuantizedModule[];
  /** X25519 public key of the buyer, 32 bytes. */
  readonly buyerKey: Uint8Array;
  /** 32 random bytes, used for this delivery only. */
  readonly masterKey: Uint8Array;
  /** Called with the number of rows done, of all rows. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What an offer says about a delivery; 32 bytes each. */
export interface DeliveryDigests {
  readonly rowsRoot: Uint8Array;
  readonly cipherRoot: Uint8Array;
  readonly keyHash: Uint8Array;
}

/**
 * Encrypts an adapter's rows twice: each with the keystream that an EVM can recompute, all of them to the buyer.
 *
 * Every row is committed to again on the way: one wrong row would cost the contributor its stake.
 *
 * @example
 * const delivery = new Delivery({ engine, srs, commitment, secret, modules, buyerKey, masterKey });
 * await writeFileAtomic('adapter.delivery', delivery.bytes());
 * const { rowsRoot, cipherRoot, keyHash } = delivery.digests();
 */
export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #rows: readonly SettlementRow[];
  readonly #cipherLeaves: Uint8Array[] = [];

  /** @throws ZkLoraError `SECRET_MISMATCH`, `SHAPE_MISMATCH`, `ADAPTER_UNSUPPORTED` for rows too long to dispute */
  constructor(options: DeliveryOptions) {
    const { commitment, secret, modules, srs } = options;
    requireDisputable(commitment);
    assertSecretMatches(secret, commitment);
    if (srs.domainSize !== commitment.domainSize) {
      throw new ZkLoraError('SHAPE_MISMATCH', 'the reference string is for another domain than the adapter');
    }
    const same = modules.every((module, i) => {
      const committed = commitment.modules[i];
      return (['name', 'rank', 'inFeatures', 'outFeatures'] as const).every(
        (field) => committed?.[field] === module[field],
      );
    });
    if (!same || modules.length !== commitment.modules.length) throw otherWeights();
    this.#options = options;
    this.#rows = settlementRows(commitment);
  }

  /**
   * Bytes of the delivery file, to be read once.
   *
   * @throws ZkLoraError `SECRET_MISMATCH` when the weights are not the committed ones, `ADAPTER_UNSUPPORTED`
   */
  async *bytes(): AsyncGenerator<Uint8Array> {
    const { buyerKey, commitment } = this.#options;
    const contentBytes = this.#rows.reduce((sum, { length }) => sum + rowBytes(length), 0);
    const sealer = sealDelivery(buyerKey, hexToBytes(adapterId(commitment)), contentBytes);
    yield* sealedBytes(sealer, this.#ciphertexts());
  }

  /** What the offer carries. @throws ZkLoraError `INTERNAL` before {@link bytes} has been read to its end */
  digests(): DeliveryDigests {
    if (this.#cipherLeaves.length !== this.#rows.length) {
      throw new ZkLoraError('INTERNAL', 'a delivery has no digests before it is written');
    }
    return {
      rowsRoot: rowsRootOf(this.#rows),
      cipherRoot: new MerkleTree(this.#cipherLeaves).root,
      keyHash: keyHashOf(this.#options.masterKey),
    };
  }

  async *#ciphertexts(): AsyncGenerator<Uint8Array> {
    const { engine, srs, masterKey, onProgress } = this.#options;
    const cipher = new RowCipher(masterKey);
    const checker = new RowChecker(engine, srs);
    try {
      for (const { row, plain } of this.#plainRows()) {
        if ((await checker.add(row, plain)) !== null) throw otherWeights();
        const bytes = encodeRow(plain);
        cipher.apply(row.row, bytes);
        this.#cipherLeaves.push(cipherLeaf(row.row, keccak256(bytes)));
        yield bytes;
        onProgress?.(row.row + 1, this.#rows.length);
      }
      if ((await checker.finish()) !== null) throw otherWeights();
    } finally {
      cipher.clear();
    }
  }

  *#plainRows(): Generator<{ row: SettlementRow; plain: PlainRow }> {
    const { modules, secret, commitment } = this.#options;
    let at = 0;
    for (const module of modules) {
      const blinders = moduleBlinders(hexToBytes(secret.blindingSecret), hexToBytes(commitment.salt), module);
      for (let i = 0; i < 2 * module.rank; i++, at++) {
        const row = this.#rows[at]!;
        const [values, blinder] =
          row.matrix === 'A' ? [module.a, blinders.a[row.rank]!] : [module.bT, blinders.b[row.rank]!];
        const from = row.rank * row.length;
        yield { row, plain: { values: values.subarray(from, from + row.length), blinder } };
      }
    }
  }
}

/** Root over all registered rows of an adapter, 32 bytes. */
export function rowsRootOf(rows: readonly SettlementRow[]): Uint8Array {
  return new MerkleTree(rows.map(rowsLeaf)).root;
}

function otherWeights(): ZkLoraError {
  return new ZkLoraError(
    'SECRET_MISMATCH',
    'the weights are not the ones of the adapter commitment; deliver the adapter that you registered',
  );
}
