import {
  type AdapterCommitment,
  type AdapterSecret,
  type FloatModule,
  moduleBlinders,
  quantizeModule,
} from '../../src/adapter/index.js';
import { R } from '../../src/algebra/index.js';
import { hexToBytes } from '../../src/bytes.js';

/** Bytes of a row that make a needle: eight int16 or four float32 weights. */
const ROW_BYTES = 16;

/** Something that must not leave the contributor, in one of the forms it could leave in. */
export interface Needle {
  readonly what: string;
  readonly bytes: Buffer;
}

/** The two keys, every blinder and every row of weights, in each form that a leak could have. */
export function needles(
  secret: AdapterSecret,
  { salt }: AdapterCommitment,
  modules: readonly FloatModule[],
): Needle[] {
  const keys = (['blindingSecret', 'contributorSecretKey'] as const).flatMap((field) =>
    number(field, Buffer.from(secret[field], 'hex')),
  );
  const perModule = modules.flatMap((module) => {
    const blinders = moduleBlinders(hexToBytes(secret.blindingSecret), hexToBytes(salt), module);
    return [
      ...blinders.a.flatMap((value, j) => blinder(`${module.name} A blinder ${j}`, value)),
      ...blinders.b.flatMap((value, j) => blinder(`${module.name} B blinder ${j}`, value)),
      ...rows(module),
    ];
  });
  return [...keys, ...perModule];
}

/** Which needles, of four bytes or more, a text or file holds. One pass for all of them: there are thousands. */
export function found(haystack: Buffer, sought: readonly Needle[]): string[] {
  const byStart = new Map<number, Needle[]>();
  for (const needle of sought) {
    const key = needle.bytes.readUInt32BE(0);
    byStart.set(key, [...(byStart.get(key) ?? []), needle]);
  }
  const there = new Set<Needle>();
  let start = 0;
  for (let end = 1; end <= haystack.length; end++) {
    // the four bytes before `end`
    start = ((start << 8) | haystack[end - 1]!) >>> 0;
    for (const needle of byStart.get(start) ?? []) {
      const { bytes } = needle;
      if (end >= 4 && bytes.equals(haystack.subarray(end - 4, end - 4 + bytes.length))) there.add(needle);
    }
  }
  return sought.filter((needle) => there.has(needle)).map(({ what }) => what);
}

/** A 32-byte number: raw in both byte orders, hex, base64, decimal. */
function number(what: string, bigEndian: Buffer): Needle[] {
  const hex = bigEndian.toString('hex');
  const forms = {
    raw: bigEndian,
    'raw, reversed': Buffer.from(bigEndian).reverse(),
    hex: Buffer.from(hex),
    base64: Buffer.from(bigEndian.toString('base64').replace(/=+$/, '')),
    decimal: Buffer.from(BigInt(`0x${hex}`).toString()),
  };
  return Object.entries(forms).map(([form, bytes]) => ({ what: `${what}, ${form}`, bytes }));
}

/** A blinder also as the field library holds it, times 2^256. */
function blinder(what: string, value: bigint): Needle[] {
  const bytes = (n: bigint) => Buffer.from(n.toString(16).padStart(64, '0'), 'hex');
  return [...number(what, bytes(value)), ...number(`${what}, Montgomery`, bytes((value << 256n) % R))];
}

/** Beginnings of the rows of A and the columns of B, as trained and as committed. */
function rows(module: FloatModule): Needle[] {
  const { name, rank, inFeatures, outFeatures } = module;
  const quantized = quantizeModule(module);
  return Array.from({ length: rank }, (_, j) => {
    const columnOfB = Float32Array.from({ length: outFeatures }, (_, i) => module.b[i * rank + j]!);
    const parts = {
      [`${name} A row ${j}`]: [
        module.a.slice(j * inFeatures, (j + 1) * inFeatures),
        quantized.a.slice(j * inFeatures, (j + 1) * inFeatures),
      ],
      [`${name} B column ${j}`]: [columnOfB, quantized.bT.slice(j * outFeatures, (j + 1) * outFeatures)],
      [`${name} B row ${j}`]: [module.b.slice(j * rank, (j + 1) * rank)],
    };
    return Object.entries(parts).flatMap(([what, arrays]) =>
      arrays.flatMap((array) => [
        {
          what: `${what}, raw ${array.BYTES_PER_ELEMENT * 8} bits`,
          bytes: Buffer.from(array.buffer, 0, ROW_BYTES),
        },
        { what: `${what}, text`, bytes: Buffer.from(array.slice(0, 6).join(',')) },
      ]),
    );
  }).flat();
}
