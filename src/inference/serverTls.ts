import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ZkLoraError } from '../errors.js';
import { readFileWithMode, writeFileAtomic } from '../files.js';
import { fingerprint, makeOwnCertificate } from './certificate.js';
import { MAX_PEM_FILE_BYTES } from './limits.js';

/** What a service shows to its users, and whom it lets in. */
export interface ServerTls {
  /** PEM of the private key. */
  readonly key: string;
  /** PEM of the certificate, with intermediate ones behind it. */
  readonly certificate: string;
  /** PEM of the authorities whose certificates users must have; without it, users need none. */
  readonly clientCa?: string;
  /** SHA-256 of the certificate's DER form, hex: what users pin. */
  readonly fingerprint: string;
  /** Whether others may read the file of the key: worth a warning. */
  readonly exposed: boolean;
}

/** File in the folder for TLS: key and certificate in one, so that neither can lack the other. */
const OWN_FILE = 'tls.pem';
const SECRET_MODE = 0o600;
const FOLDER_MODE = 0o700;
const NOT_OWNER = 0o077;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * The key and certificate of a folder, made on first use: self-signed, for users who pin it.
 *
 * @throws ZkLoraError `CERTIFICATE_INVALID`, `FILE_UNREADABLE`, `FILE_UNWRITABLE`
 */
export async function ownTls(dir: string): Promise<ServerTls> {
  const path = join(dir, OWN_FILE);
  return (await readOwn(path)) ?? (await makeOwn(dir, path));
}

/**
 * Key and certificate from files of the operator.
 *
 * @param options.certificate may hold intermediate certificates behind the service's own
 * @throws ZkLoraError `CERTIFICATE_INVALID`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function tlsFromFiles(options: { certificate: string; key: string }): Promise<ServerTls> {
  const certificate = await readPem(options.certificate, 'TLS certificate');
  const key = await readPem(options.key, 'TLS key');
  return checked(key.text, certificate.text, key.exposed);
}

/**
 * PEM of one or more certificates.
 *
 * @throws ZkLoraError `CERTIFICATE_INVALID`, `FILE_NOT_FOUND`, `FILE_UNREADABLE`
 */
export async function readCertificates(path: string, what: string): Promise<string> {
  const certificates = (await readPem(path, what)).text.match(CERTIFICATE) ?? [];
  for (const pem of certificates) parseCertificate(pem);
  if (certificates.length === 0) throw invalid(`${what}: there is no certificate in PEM form in ${path}`);
  return `${certificates.join('\n')}\n`;
}

/** The first certificate of a chain, which belongs to the key and is valid now. */
function checkPair(key: string, certificate: string): X509Certificate {
  const pem = certificate.match(CERTIFICATE)?.[0];
  if (pem === undefined) throw invalid('the certificate is not in PEM form');
  const parsed = parseCertificate(pem);
  if (!parsed.checkPrivateKey(parseKey(key))) {
    throw invalid('key and certificate do not belong together; give the two files of one request');
  }
  const now = Date.now();
  if (now < Date.parse(parsed.validFrom) || now > Date.parse(parsed.validTo)) {
    throw invalid('the certificate is expired or not valid yet; get another one');
  }
  return parsed;
}

async function readOwn(path: string): Promise<ServerTls | undefined> {
  try {
    const { text, exposed } = await readPem(path, 'TLS key and certificate');
    return checked(text, text, exposed);
  } catch (error) {
    if (error instanceof ZkLoraError && error.code === 'FILE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** Another process may make one at the same time: the first file stays, and both use it. */
async function makeOwn(dir: string, path: string): Promise<ServerTls> {
  try {
    await mkdir(dir, { recursive: true, mode: FOLDER_MODE });
  } catch {
    throw new ZkLoraError(
      'FILE_UNWRITABLE',
      `the folder ${dir} for the TLS key cannot be made; name another`,
      {
        details: { path: dir },
      },
    );
  }
  try {
    await writeFileAtomic(path, await makeOwnCertificate(Date.now()), { mode: SECRET_MODE });
  } catch (error) {
    if (!(error instanceof ZkLoraError && error.code === 'FILE_EXISTS')) throw error;
  }
  const made = await readOwn(path);
  if (made === undefined) throw new ZkLoraError('INTERNAL', `${path} is gone`);
  return made;
}

function checked(key: string, certificate: string, exposed: boolean): ServerTls {
  return { key, certificate, fingerprint: fingerprint(checkPair(key, certificate).raw), exposed };
}

async function readPem(path: string, what: string): Promise<{ text: string; exposed: boolean }> {
  const { bytes, mode } = await readFileWithMode(path, MAX_PEM_FILE_BYTES, what);
  return { text: new TextDecoder().decode(bytes), exposed: (mode & NOT_OWNER) !== 0 };
}

function parseCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw invalid('a certificate does not parse; fetch an intact copy');
  }
}

/** The parser's own message may hold a part of the file. */
function parseKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw invalid('the TLS key does not parse; it has to be an unencrypted key in PEM form');
  }
}

function invalid(message: string): ZkLoraError {
  return new ZkLoraError('CERTIFICATE_INVALID', message);
}
