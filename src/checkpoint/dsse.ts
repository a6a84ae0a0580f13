import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { z } from 'zod';
import { bytesToHex, canonicalJson, concatBytes, hexToBytes, utf8ToBytes } from '../bytes.js';
import { ed25519PublicKey } from '../ed25519PublicKey.js';
import { ZkLoraError } from '../errors.js';
import { parseJsonBytes } from '../jsonText.js';
import { sha256Of } from '../sha256.js';
import { MAX_ENVELOPE_BYTES, MAX_SIGNATURES } from './limits.js';

/** Media type of in-toto statements in DSSE (in-toto attestation framework, "Envelope"). */
export const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

const SIGNATURE_BYTES = 64;
/** SubjectPublicKeyInfo of an Ed25519 key up to the key itself (RFC 8410). */
const SPKI_PREFIX = hexToBytes('302a300506032b6570032100');

const schema = z.strictObject({
  payload: z.string().max(MAX_ENVELOPE_BYTES),
  payloadType: z.string().max(256),
  signatures: z
    .array(z.strictObject({ keyid: z.string().regex(/^[0-9a-f]{64}$/), sig: z.string().max(128) }))
    .min(1)
    .max(MAX_SIGNATURES),
});

/** A DSSE envelope, decoded. */
export interface Envelope {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  /** `keyid` is the Ed25519 public key, hex: a hint only, trust comes from the policy. */
  readonly signatures: readonly { readonly keyid: string; readonly signature: Uint8Array }[];
}

/**
 * Pre-authentication encoding of DSSE v1 (secure-systems-lab/dsse, protocol.md): the bytes that are signed,
 * `DSSEv1 SP LEN(type) SP type SP LEN(body) SP body` with byte lengths in decimal.
 */
export function preAuthEncoding(type: string, body: Uint8Array): Uint8Array {
  const typeBytes = utf8ToBytes(type);
  return concatBytes(
    utf8ToBytes(`DSSEv1 ${typeBytes.length} `),
    typeBytes,
    utf8ToBytes(` ${body.length} `),
    body,
  );
}

/** Signs a payload with Ed25519 seeds of 32 bytes. */
export function signEnvelope(payload: Uint8Array, secretKeys: readonly Uint8Array[]): Envelope {
  const message = preAuthEncoding(PAYLOAD_TYPE, payload);
  const signatures = secretKeys.map((secretKey) => ({
    keyid: bytesToHex(ed25519PublicKey(secretKey)),
    signature: ed25519.sign(message, secretKey),
  }));
  return { payloadType: PAYLOAD_TYPE, payload, signatures };
}

/** The file form: canonical JSON, standard base64 with padding. */
export function serializeEnvelope({ payload, payloadType, signatures }: Envelope): Uint8Array {
  return canonicalJson({
    payload: Buffer.from(payload).toString('base64'),
    payloadType,
    signatures: signatures.map(({ keyid, signature }) => ({
      keyid,
      sig: Buffer.from(signature).toString('base64'),
    })),
  });
}

/** Name of an envelope in a store: SHA-256 of its file, hex. */
export function envelopeId(bytes: Uint8Array): string {
  return bytesToHex(sha256Of(bytes));
}

/**
 * Parses an envelope. Signatures are not checked.
 *
 * @throws ZkLoraError `LINEAGE_MALFORMED`
 */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length > MAX_ENVELOPE_BYTES) throw malformed(`it is larger than ${MAX_ENVELOPE_BYTES} bytes`);
  const parsed = schema.safeParse(parseJsonBytes(bytes, 'LINEAGE_MALFORMED', 'the envelope'));
  if (!parsed.success)
    throw malformed(`${parsed.error.issues[0]?.path.join('.') || 'the top level'} is wrong`);
  const { payload, payloadType, signatures } = parsed.data;
  if (payloadType !== PAYLOAD_TYPE) throw malformed(`its payload type is not ${PAYLOAD_TYPE}`);
  return {
    payloadType,
    payload: decodeBase64(payload),
    signatures: signatures.map(({ keyid, sig }) => {
      const signature = decodeBase64(sig);
      if (signature.length !== SIGNATURE_BYTES) throw malformed('a signature has not 64 bytes');
      return { keyid, signature };
    }),
  };
}

/** An Ed25519 key that signatures are checked against. */
export type VerificationKey = KeyObject;

/**
 * Takes a public key for verification.
 *
 * @param publicKey 32 bytes, hex
 * @throws ZkLoraError `LINEAGE_MALFORMED` for bytes that are no point of the curve's large group
 */
export function verificationKey(publicKey: string): VerificationKey {
  const bytes = hexToBytes(publicKey);
  try {
    const point = ed25519.Point.fromBytes(bytes, false);
    if (point.isSmallOrder()) throw new Error('small order');
  } catch {
    throw malformed('a public key is no valid Ed25519 key');
  }
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, bytes]), format: 'der', type: 'spki' });
}

/**
 * Whether the signature over the payload is this key's; checked in the platform's thread pool.
 *
 * RFC 8032 without the cofactor, as OpenSSL checks it: stricter than @noble/curves only towards signatures that
 * the key's owner malformed on purpose. It takes a tenth of the time.
 */
export function isEnvelopeSignedBy(
  envelope: Envelope,
  signature: Uint8Array,
  key: VerificationKey,
): Promise<boolean> {
  const message = preAuthEncoding(envelope.payloadType, envelope.payload);
  return new Promise((resolve) => {
    verify(null, message, key, signature, (error, valid) => resolve(error === null && valid));
  });
}

/** Standard base64 with padding, in its one canonical form. */
function decodeBase64(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw malformed('it holds text that is not standard base64');
  return new Uint8Array(bytes);
}

function malformed(problem: string): ZkLoraError {
  return new ZkLoraError('LINEAGE_MALFORMED', `not a usable envelope: ${problem}; fetch it again`);
}
