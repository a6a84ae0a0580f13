import type { FileHandle } from 'node:fs/promises';
import { type AdapterCommitment, adapterId } from '../adapter/index.js';
import { ZkLoraError } from '../errors.js';
import { openRegularFile, writeFileAtomic } from '../files.js';
import {
  CHUNK_BYTES,
  type ChunkOpener,
  type DeliveryHeader,
  deliveryMalformed,
  HEADER_BYTES,
  openSealedDelivery,
  SEALED_CHUNK_BYTES,
} from './deliverySeal.js';
import { keccak256 } from './keccak.js';
import { cipherLeaf, MerkleTree } from './merkle.js';
import { rowBytes, type SettlementRow, settlementRows } from './rows.js';

/** Read and written at a time when a file is copied. */
const COPY_BYTES = 2 ** 20;

/** A row as it is in the file: still encrypted with the master key's keystream. */
export interface EncryptedRow {
  readonly row: SettlementRow;
  readonly ciphertext: Uint8Array;
}

/** What is there of a file whose download may not have ended. */
export interface DownloadState {
  /** Bytes from the beginning on that are as the contributor wrote them. */
  readonly verifiedBytes: number;
  /** Bytes of the complete file. */
  readonly fileBytes: number;
  readonly complete: boolean;
}

/** A delivery file on disk, decrypted chunk by chunk with the buyer's key. */
export class DeliveryFile {
  readonly rows: readonly SettlementRow[];
  readonly #handle: FileHandle;
  readonly #opener: ChunkOpener;

  private constructor(handle: FileHandle, opener: ChunkOpener, rows: readonly SettlementRow[]) {
    this.#handle = handle;
    this.#opener = opener;
    this.rows = rows;
  }

  /**
   * Opens a complete file.
   *
   * @param secretKey the buyer's delivery key, 32 bytes
   * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `DELIVERY_MALFORMED`, `DELIVERY_INCOMPLETE`,
   * `DELIVERY_MISMATCH` for the file of another adapter
   */
  static async open(
    path: string,
    secretKey: Uint8Array,
    commitment: AdapterCommitment,
  ): Promise<DeliveryFile> {
    const { handle, opener, size } = await openWithHeader(path, secretKey);
    try {
      const rows = settlementRows(commitment);
      const expected = rows.reduce((sum, { length }) => sum + rowBytes(length), 0);
      const { header } = opener;
      if (header.adapterId !== adapterId(commitment) || header.contentBytes !== expected) {
        throw new ZkLoraError(
          'DELIVERY_MISMATCH',
          'the delivery file is of another adapter than the commitment; ask the contributor for the right one',
        );
      }
      if (size < header.fileBytes) throw incomplete(size, header);
      if (size > header.fileBytes) throw deliveryMalformed('bytes follow its last chunk');
      return new DeliveryFile(handle, opener, rows);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * All rows in order.
   *
   * @throws ZkLoraError `DELIVERY_MALFORMED` at the first chunk that was changed
   */
  async *encryptedRows(): AsyncGenerator<EncryptedRow> {
    const chunks = chunksOf(this.#handle, this.#opener);
    let chunk: Uint8Array = new Uint8Array(0);
    for (const row of this.rows) {
      const ciphertext = new Uint8Array(rowBytes(row.length));
      for (let filled = 0; filled < ciphertext.length; ) {
        if (chunk.length === 0) {
          const next = await chunks.next();
          if (next.done)
            throw new ZkLoraError('INTERNAL', 'a delivery has fewer chunks than its header says');
          chunk = next.value;
        }
        const part = chunk.subarray(0, ciphertext.length - filled);
        ciphertext.set(part, filled);
        filled += part.length;
        chunk = chunk.subarray(part.length);
      }
      yield { row, ciphertext };
    }
  }

  /** Tree over the encrypted rows; its root is the offer's cipherRoot. @throws ZkLoraError `DELIVERY_MALFORMED` */
  async cipherTree(): Promise<MerkleTree> {
    const leaves: Uint8Array[] = [];
    for await (const { row, ciphertext } of this.encryptedRows()) {
      leaves.push(cipherLeaf(row.row, keccak256(ciphertext)));
    }
    return new MerkleTree(leaves);
  }

  /**
   * Writes the file, as it is, to another place; replaces what is there. On disk when the promise resolves.
   *
   * @throws ZkLoraError `FILE_UNWRITABLE`, `DELIVERY_INCOMPLETE` when the file was cut since it was opened
   */
  async copyTo(path: string): Promise<void> {
    await writeFileAtomic(path, this.#bytes(), { overwrite: true });
  }

  async *#bytes(): AsyncGenerator<Uint8Array> {
    const { header } = this.#opener;
    for (let at = 0; at < header.fileBytes; at += COPY_BYTES) {
      const bytes = Math.min(COPY_BYTES, header.fileBytes - at);
      const part = await readExactly(this.#handle, at, bytes);
      if (part.length < bytes) throw incomplete(at + part.length, header);
      yield part;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/**
 * Checks how much of a download is intact, chunk by chunk, and cuts the file after its last whole chunk, so that the
 * download can be continued there.
 *
 * @throws ZkLoraError `FILE_NOT_FOUND`, `FILE_UNREADABLE` (also when it cannot be written), `DELIVERY_MALFORMED` when not
 * even the header is intact, `DELIVERY_INCOMPLETE` when it is not there yet
 */
export async function resumeDownload(path: string, secretKey: Uint8Array): Promise<DownloadState> {
  const { handle, opener, size } = await openWithHeader(path, secretKey, 'change');
  const { fileBytes } = opener.header;
  let verifiedBytes = HEADER_BYTES;
  try {
    try {
      for await (const content of chunksOf(handle, opener)) {
        verifiedBytes += content.length + SEALED_CHUNK_BYTES - CHUNK_BYTES;
      }
    } catch (error) {
      if (!(error instanceof ZkLoraError)) throw error;
      if (error.code !== 'DELIVERY_MALFORMED' && error.code !== 'DELIVERY_INCOMPLETE') throw error;
    }
    // through the handle: by now the name may be another file's
    if (size > verifiedBytes) await handle.truncate(verifiedBytes);
  } finally {
    await handle.close();
  }
  return { verifiedBytes, fileBytes, complete: verifiedBytes === fileBytes };
}

async function openWithHeader(
  path: string,
  secretKey: Uint8Array,
  access: 'read' | 'change' = 'read',
): Promise<{ handle: FileHandle; opener: ChunkOpener; size: number }> {
  const { handle, size } = await openRegularFile(path, 'delivery file', access);
  try {
    const start = await readExactly(handle, 0, Math.min(size, HEADER_BYTES));
    if (start.length < HEADER_BYTES) {
      throw new ZkLoraError(
        'DELIVERY_INCOMPLETE',
        'the delivery file ends inside its header; continue the download',
        { details: { bytes: size } },
      );
    }
    return { handle, opener: openSealedDelivery(secretKey, start), size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Contents of the chunks in order. */
async function* chunksOf(handle: FileHandle, opener: ChunkOpener): AsyncGenerator<Uint8Array> {
  const { header } = opener;
  for (let index = 0, at = HEADER_BYTES; at < header.fileBytes; index++, at += SEALED_CHUNK_BYTES) {
    const bytes = Math.min(SEALED_CHUNK_BYTES, header.fileBytes - at);
    const sealed = await readExactly(handle, at, bytes);
    if (sealed.length < bytes) throw incomplete(at + sealed.length, header);
    yield opener.open(index, sealed);
  }
}

/** Bytes at a position; fewer when the file ends before. */
async function readExactly(handle: FileHandle, position: number, bytes: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(bytes);
  let filled = 0;
  while (filled < bytes) {
    const { bytesRead } = await handle.read(buffer, filled, bytes - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

function incomplete(size: number, { fileBytes }: DeliveryHeader): ZkLoraError {
  return new ZkLoraError(
    'DELIVERY_INCOMPLETE',
    `the delivery file ends after ${size} of ${fileBytes} bytes; zklora open --resume says where to continue the download`,
    { details: { bytes: size, fileBytes } },
  );
}
