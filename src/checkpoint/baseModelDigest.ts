import { bytesToHex, canonicalJson, labelledSha256 } from '../bytes.js';
import { createSha256 } from '../sha256.js';
import { type OpenFile, sha256OfFile, streamRange } from './confined.js';
import { openOnnxCheckpoint } from './onnxCheckpoint.js';

/**
 * Digest of an ONNX model as adapter commitments hold it: SHA-256 of the file, with external data a digest of all
 * its files (docs/formats.md, "Digest of a base model"). Hex.
 *
 * @throws ZkLoraError as {@link openOnnxCheckpoint}
 */
export async function baseModelDigest(path: string): Promise<string> {
  const { dataFiles, close } = await openOnnxCheckpoint(path);
  try {
    return await digestWithData(await sha256OfFile(path, 'ONNX model'), dataFiles);
  } finally {
    await close();
  }
}

/**
 * The same from open files.
 *
 * @param model SHA-256 of the model file, hex
 * @param dataFiles by the name that the model gives them
 */
export async function digestWithData(
  model: string,
  dataFiles: ReadonlyMap<string, OpenFile>,
): Promise<string> {
  if (dataFiles.size === 0) return model;
  const data: { file: string; sha256: string }[] = [];
  for (const [file, opened] of dataFiles) {
    const hash = createSha256();
    await streamRange(opened, 0, opened.size, (piece) => hash.update(piece));
    data.push({ file, sha256: bytesToHex(hash.digest()) });
  }
  data.sort((a, b) => (a.file < b.file ? -1 : 1));
  return bytesToHex(labelledSha256('zklora/onnx-external/v1', canonicalJson({ model, data })));
}
