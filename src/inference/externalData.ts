import { readSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DTYPE_BYTES } from '../adapter/dtype.js';
import { digestWithData } from '../checkpoint/baseModelDigest.js';
import { type OpenFile, openConfined, readExactly } from '../checkpoint/confined.js';
import { MAX_SHARDS } from '../checkpoint/limits.js';
import { externalRange, weightsMalformed } from '../checkpoint/onnxExternal.js';
import { ONNX_DTYPES } from '../checkpoint/onnxValues.js';
import { dataLength } from '../checkpoint/tensorSource.js';
import { ZkLoraError } from '../errors.js';
import { TensorProto_DataLocation as DataLocation, type TensorProto } from './gen/onnx_pb.js';
import { printable } from './graph.js';
import type { Model } from './onnx.js';
import { type SameData, sameEmbedded } from './staticValues.js';

/** External tensors up to this size are taken into memory: shapes may follow from their values. */
export const INLINE_BYTES = 64 * 1024;
/** All of them together; the rest stays outside. */
const MAX_INLINE_TOTAL = 256 * 2 ** 20;
const COMPARE_BYTES = 2 ** 20;
/** Data files of one model: 405 billion weights in float32 are 1.6 TB. A sparse file can claim more than can be hashed. */
const MAX_EXTERNAL_BYTES = 2 * 2 ** 40;

interface DataFile {
  readonly file: OpenFile;
  /** Device, inode, size and times of modification and change, before it was hashed; the last cannot be set. */
  readonly stamp: string;
}

interface Place {
  readonly file: OpenFile;
  readonly begin: number;
  readonly bytes: number;
}

/** Weights of a model that lie in other files of its folder: checked and hashed, never read whole. */
export interface ExternalData {
  /** Folder of the data files, absolute. */
  readonly folder: string;
  /** See docs/formats.md, "Digest of a base model". Hex. */
  readonly digest: string;
  /** Of the tensors that stay in the files. */
  readonly bytes: number;
  readonly sameData: SameData;
  /** Refuses data files that are no longer the hashed ones, also when they have been closed. @throws ZkLoraError `BASE_MODEL_MISMATCH` */
  checkUnchanged(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the data files of a model and takes its small external tensors into it.
 *
 * @param path of the model file
 * @param modelDigest SHA-256 of the model file, hex
 * @returns undefined when all weights are in the model file
 * @throws ZkLoraError `ONNX_MALFORMED`, `CHECKPOINT_MALFORMED` for a data file outside the model's folder or behind a
 * symbolic link, `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function openExternalData(
  model: Model,
  path: string,
  modelDigest: string,
): Promise<ExternalData | undefined> {
  const tensors = model.graph.initializer.filter(isExternal);
  if (tensors.length === 0) return undefined;
  const folder = dirname(resolve(path));
  const files = new Map<string, DataFile>();
  try {
    const places = new Map<TensorProto, Place>();
    let inlined = 0;
    for (const tensor of tensors) {
      const place = await placeOf(tensor, (name) => dataFile(folder, name, files));
      if (place.bytes <= INLINE_BYTES && inlined + place.bytes <= MAX_INLINE_TOTAL) {
        inlined += place.bytes;
        await inline(tensor, place);
      } else {
        places.set(tensor, place);
      }
    }
    const opened = new Map([...files].map(([name, { file }]) => [name, file]));
    return new OpenExternalData(folder, await digestWithData(modelDigest, opened), files, places);
  } catch (error) {
    await closeAll(files);
    throw error;
  }
}

async function closeAll(files: ReadonlyMap<string, DataFile>): Promise<void> {
  for (const { file } of files.values()) await file.handle.close();
}

function isExternal(tensor: TensorProto): boolean {
  return tensor.externalData.length > 0 || tensor.dataLocation === DataLocation.EXTERNAL;
}

/** Opens a data file once, by the name that the model gives. */
async function dataFile(folder: string, name: string, files: Map<string, DataFile>): Promise<OpenFile> {
  const known = files.get(name);
  if (known !== undefined) return known.file;
  if (files.size === MAX_SHARDS) throw weightsMalformed(`they lie in more than ${MAX_SHARDS} files`);
  // onnxruntime takes "*/_ORT_MEM_ADDR_/*" for its own memory, with the offset as an address
  if (name.includes('*')) throw weightsMalformed(`${printable(name)} is no name of a data file`);
  const opened = await openDataFile(folder, name);
  files.set(name, opened);
  const total = [...files.values()].reduce((sum, { file }) => sum + file.size, 0);
  if (total > MAX_EXTERNAL_BYTES) throw weightsMalformed(`their files pass ${MAX_EXTERNAL_BYTES} bytes`);
  return opened.file;
}

async function openDataFile(folder: string, name: string): Promise<DataFile> {
  const file = await openConfined(folder, name, 'ONNX external data');
  const { dev, ino, size, mtimeNs, ctimeNs } = await file.handle.stat({ bigint: true });
  return { file, stamp: `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}` };
}

async function placeOf(tensor: TensorProto, open: (name: string) => Promise<OpenFile>): Promise<Place> {
  const label = `initializer ${printable(tensor.name)}`;
  const entries = new Map<string, string>();
  for (const { key, value } of tensor.externalData) {
    if (entries.has(key)) throw weightsMalformed(`${label} has an external_data entry twice`);
    entries.set(key, value);
  }
  if (tensor.rawData.length > 0 || tensor.dataLocation !== DataLocation.EXTERNAL) {
    throw weightsMalformed(`${label} does not say clearly whether its data is external`);
  }
  const dtype = ONNX_DTYPES.get(tensor.dataType);
  const shape = tensor.dims.map(Number);
  if (dtype === undefined || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw weightsMalformed(`${label} has external data of a type or shape that is not supported`);
  }
  const bytes = dataLength(shape, DTYPE_BYTES[dtype]);
  return { ...(await externalRange(entries, bytes, label, open)), bytes };
}

async function inline(tensor: TensorProto, { file, begin, bytes }: Place): Promise<void> {
  const data = new Uint8Array(bytes);
  await readExactly(file, data, begin);
  tensor.rawData = data;
  tensor.externalData = [];
  tensor.dataLocation = DataLocation.DEFAULT;
}

class OpenExternalData implements ExternalData {
  constructor(
    readonly folder: string,
    readonly digest: string,
    private readonly files: ReadonlyMap<string, DataFile>,
    private readonly places: ReadonlyMap<TensorProto, Place>,
  ) {}

  get bytes(): number {
    return [...this.places.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  readonly sameData: SameData = (a, b) => {
    const [left, right] = [this.places.get(a), this.places.get(b)];
    if (left === undefined || right === undefined) return sameEmbedded(a, b);
    return left.bytes === right.bytes && sameRanges(left, right);
  };

  async checkUnchanged(): Promise<void> {
    for (const [name, { stamp }] of this.files) {
      const now = await openDataFile(this.folder, name);
      await now.file.handle.close();
      if (now.stamp === stamp) continue;
      throw new ZkLoraError(
        'BASE_MODEL_MISMATCH',
        `the data file ${printable(name)} of the model changed while it was in use; start again`,
      );
    }
  }

  close(): Promise<void> {
    return closeAll(this.files);
  }
}

function sameRanges(a: Place, b: Place): boolean {
  if (a.file === b.file && a.begin === b.begin) return true;
  const [left, right] = [Buffer.alloc(COMPARE_BYTES), Buffer.alloc(COMPARE_BYTES)];
  for (let at = 0; at < a.bytes; at += COMPARE_BYTES) {
    const size = Math.min(COMPARE_BYTES, a.bytes - at);
    // a file that was cut off since leaves bytes of the range before
    const whole =
      readSync(a.file.handle.fd, left, 0, size, a.begin + at) === size &&
      readSync(b.file.handle.fd, right, 0, size, b.begin + at) === size;
    if (!whole || !left.subarray(0, size).equals(right.subarray(0, size))) return false;
  }
  return true;
}
