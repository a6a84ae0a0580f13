import { ZkLoraError } from '../errors.js';
import type { OpenFile } from './confined.js';

/**
 * Place of a tensor's external data (onnx/docs/ExternalData.md): location, and offset and length where given.
 *
 * @param bytes what the tensor's shape and type need
 * @param label names the tensor in messages
 * @param dataFile opens a data file by its location, which comes from the model file
 * @throws ZkLoraError `ONNX_MALFORMED`, and what `dataFile` throws
 */
export async function externalRange(
  entries: ReadonlyMap<string, string>,
  bytes: number,
  label: string,
  dataFile: (name: string) => Promise<OpenFile>,
): Promise<{ file: OpenFile; begin: number }> {
  const location = entries.get('location');
  if (location === undefined) throw weightsMalformed(`${label} has external data without a location`);
  const begin = natural(entries.get('offset') ?? '0', label);
  const file = await dataFile(location);
  const length = entries.has('length') ? natural(entries.get('length')!, label) : file.size - begin;
  if (length !== bytes)
    throw weightsMalformed(`${label} has ${length} bytes of external data where its shape needs ${bytes}`);
  if (begin + length > file.size) throw weightsMalformed(`${label} lies beyond the end of its data file`);
  return { file, begin };
}

function natural(digits: string, label: string): number {
  const value = Number(digits);
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(digits) || !Number.isSafeInteger(value)) {
    throw weightsMalformed(`${label} has an external offset or length that is no whole number`);
  }
  return value;
}

/** The weights of an ONNX model are not what its messages say. */
export function weightsMalformed(problem: string): ZkLoraError {
  return new ZkLoraError('ONNX_MALFORMED', `the model's weights cannot be read: ${problem}; export it again`);
}
