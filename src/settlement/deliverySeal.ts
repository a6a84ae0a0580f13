import { createCipheriv, createDecipheriv, timingSafeEqual } from 'node:crypto';
import { x25519 } from '@noble/curves/ed25519.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { bytesToHex, concatBytes, sha256, u32, utf8ToBytes } from '../bytes.js';
import { ZkLoraError } from '../errors.js';

// The envelope of a delivery file (docs/settlement.md, "Delivery file"): X25519, HKDF-SHA256 and AES-256-GCM in chunks
// with the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar: eprint 2015/189): the nonce holds the chunk's
// number and a flag on the last one, so that chunks cannot be dropped, moved, repeated, or cut off unseen.

const LABEL = utf8ToBytes('zklora/delivery/v1');
const MAGIC = concatBytes(utf8ToBytes('zklora-delivery'), Uint8Array.of(0, 1));

const KEY_BYTES = 32;
const TAG_BYTES = 16;
const NONCE_BYTES = 12;

/** Content of one chunk, bytes; the last one may be shorter. */
export const CHUNK_BYTES = 65_536;
/** One chunk in the file. */
export const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;

/** Content of a delivery file: the weights of the largest adapter file that `register` reads, as int16. */
export const MAX_DELIVERY_BYTES = 2 ** 32;

/** magic | adapter id | X25519 public key of this file | u32 chunks | u32 bytes of the last chunk | MAC */
export const HEADER_BYTES = MAGIC.length + 32 + KEY_BYTES + 4 + 4 + 32;
const AUTHENTICATED_BYTES = HEADER_BYTES - 32;
const SIZES_AT = AUTHENTICATED_BYTES - 8;

/** What stands at the beginning of a delivery file. */
export interface DeliveryHeader {
  /** 32 bytes, hex. */
  readonly adapterId: string;
  /** Bytes of the content. */
  readonly contentBytes: number;
  /** Bytes of the whole file. */
  readonly fileBytes: number;
}

/** Encrypts the content of one delivery file, chunk by chunk. */
export interface ChunkSealer {
  readonly header: Uint8Array;
  /** @param content {@link CHUNK_BYTES} bytes, fewer in the last chunk */
  seal(content: Uint8Array): Uint8Array;
}

/** Decrypts chunks, in any order. */
export interface ChunkOpener {
  readonly header: DeliveryHeader;
  /**
   * @param sealed the whole chunk
   * @throws ZkLoraError `DELIVERY_MALFORMED` for a chunk that is not the one with this number of this file
   */
  open(index: number, sealed: Uint8Array): Uint8Array;
}

/**
 * Begins a file for the holder of a key; the file's own key pair is fresh.
 *
 * @param buyerKey X25519 public key, 32 bytes
 * @param contentBytes 1 to {@link MAX_DELIVERY_BYTES}
 * @throws ZkLoraError `USAGE` for a public key of small order, `ADAPTER_UNSUPPORTED` for content that is too long
 */
export function sealDelivery(buyerKey: Uint8Array, adapterId: Uint8Array, contentBytes: number): ChunkSealer {
  if (contentBytes > MAX_DELIVERY_BYTES) {
    throw new ZkLoraError(
      'ADAPTER_UNSUPPORTED',
      `the adapter's rows come to more than ${MAX_DELIVERY_BYTES} bytes; deliver it in parts`,
    );
  }
  const { secretKey, publicKey } = x25519.keygen();
  const keys = sessionKeys(secretKey, buyerKey, publicKey, buyerKey);
  if (keys === null) {
    throw new ZkLoraError('USAGE', "the buyer's key is a point of small order; ask for the right key");
  }
  const chunks = Math.ceil(contentBytes / CHUNK_BYTES);
  const last = contentBytes - (chunks - 1) * CHUNK_BYTES;
  const authenticated = concatBytes(MAGIC, adapterId, publicKey, u32(chunks), u32(last));
  let index = 0;
  return {
    header: concatBytes(authenticated, hmac(sha256, keys.mac, authenticated)),
    seal: (content) => {
      if (index >= chunks || content.length !== (index === chunks - 1 ? last : CHUNK_BYTES)) {
        throw new ZkLoraError('INTERNAL', 'a delivery was cut into the wrong chunks');
      }
      const cipher = createCipheriv('aes-256-gcm', keys.chunks, nonce(index, index === chunks - 1));
      index++;
      return concatBytes(cipher.update(content), cipher.final(), cipher.getAuthTag());
    },
  };
}

/** Bytes of a file whose content comes in parts of any length. */
export async function* sealedBytes(
  sealer: ChunkSealer,
  parts: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield sealer.header;
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  for await (const part of parts) {
    waiting.push(part);
    waitingBytes += part.length;
    // the last chunk is sealed below, even when it is full
    if (waitingBytes <= CHUNK_BYTES) continue;
    const content = concatBytes(...waiting);
    let at = 0;
    for (; content.length - at > CHUNK_BYTES; at += CHUNK_BYTES) {
      yield sealer.seal(content.subarray(at, at + CHUNK_BYTES));
    }
    waiting = [content.subarray(at)];
    waitingBytes = content.length - at;
  }
  yield sealer.seal(concatBytes(...waiting));
}

/**
 * Reads a file's header with the buyer's key.
 *
 * @param start the first {@link HEADER_BYTES} bytes of the file
 * @throws ZkLoraError `DELIVERY_MALFORMED`, also when the file was made for another key
 */
export function openSealedDelivery(secretKey: Uint8Array, start: Uint8Array): ChunkOpener {
  if (start.length !== HEADER_BYTES || !MAGIC.every((byte, i) => byte === start[i])) {
    throw deliveryMalformed('it does not begin like one');
  }
  const view = new DataView(start.buffer, start.byteOffset, start.length);
  const adapterId = start.subarray(MAGIC.length, MAGIC.length + 32);
  const filePublicKey = start.subarray(MAGIC.length + 32, MAGIC.length + 32 + KEY_BYTES);
  const chunks = view.getUint32(SIZES_AT);
  const last = view.getUint32(SIZES_AT + 4);
  const keys = sessionKeys(secretKey, filePublicKey, filePublicKey, x25519.getPublicKey(secretKey));
  const mac = keys && hmac(sha256, keys.mac, start.subarray(0, AUTHENTICATED_BYTES));
  if (keys === null || mac === null || !timingSafeEqual(mac, start.subarray(AUTHENTICATED_BYTES))) {
    throw deliveryMalformed('it was encrypted to another key than yours, or its header was changed');
  }
  if (chunks < 1 || chunks > MAX_DELIVERY_BYTES / CHUNK_BYTES || last < 1 || last > CHUNK_BYTES) {
    throw deliveryMalformed('its header gives sizes out of range');
  }
  const contentBytes = (chunks - 1) * CHUNK_BYTES + last;
  return {
    header: {
      adapterId: bytesToHex(adapterId),
      contentBytes,
      fileBytes: HEADER_BYTES + contentBytes + chunks * TAG_BYTES,
    },
    open: (index, sealed) => {
      const isLast = index === chunks - 1;
      if (index >= chunks || sealed.length !== (isLast ? last : CHUNK_BYTES) + TAG_BYTES) {
        throw deliveryMalformed(`chunk ${index} has the wrong length`);
      }
      const decipher = createDecipheriv('aes-256-gcm', keys.chunks, nonce(index, isLast), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
      try {
        return concatBytes(decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final());
      } catch {
        throw deliveryMalformed(`chunk ${index} was changed on the way`, { chunk: index });
      }
    },
  };
}

export function deliveryMalformed(
  problem: string,
  details: Readonly<Record<string, string | number | boolean>> = {},
): ZkLoraError {
  return new ZkLoraError(
    'DELIVERY_MALFORMED',
    `not a usable delivery file: ${problem}; download it again or ask the contributor`,
    { details },
  );
}

/**
 * HKDF-SHA256 of the shared secret; info = label | public key of the file | public key of the buyer. Null for points of
 * small order, whose shared secret is zero.
 */
function sessionKeys(
  secretKey: Uint8Array,
  publicKey: Uint8Array,
  fileKey: Uint8Array,
  buyerKey: Uint8Array,
): { chunks: Uint8Array; mac: Uint8Array } | null {
  let shared: Uint8Array;
  try {
    shared = x25519.getSharedSecret(secretKey, publicKey);
  } catch {
    return null;
  }
  const keys = hkdf(sha256, shared, undefined, concatBytes(LABEL, fileKey, buyerKey), 2 * KEY_BYTES);
  return { chunks: keys.subarray(0, KEY_BYTES), mac: keys.subarray(KEY_BYTES) };
}

/** 7 zero bytes (the key is used for one file only) | u32 number of the chunk | 1 on the last chunk, else 0 */
function nonce(index: number, isLast: boolean): Uint8Array {
  const bytes = new Uint8Array(NONCE_BYTES);
  new DataView(bytes.buffer).setUint32(7, index);
  bytes[NONCE_BYTES - 1] = isLast ? 1 : 0;
  return bytes;
}
