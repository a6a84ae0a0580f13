import { isIP } from 'node:net';
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect,
  createSecureContext,
  type PeerCertificate,
  type TLSSocket,
} from 'node:tls';
import { type ChannelCredentials, type ChannelOptions, credentials } from '@grpc/grpc-js';
import { ZkLoraError } from '../errors.js';
import { type Address, formatAddress } from './address.js';
import { fingerprint, OWN_CERTIFICATE_NAME } from './certificate.js';

/** How a user knows the contributor's service, and how the service knows the user. */
export interface ClientTls {
  /**
   * `pin`: SHA-256 of the service's certificate, hex; the name in it and its issuer do not matter.
   * `authorities`: PEM of the authorities that are trusted. `system`: the authorities that Node.js trusts.
   */
  readonly trust:
    | { readonly kind: 'pin'; readonly fingerprint: string }
    | { readonly kind: 'authorities'; readonly pem: string }
    | { readonly kind: 'system' };
  /** PEM of the user's own certificate and key, for services that ask for one. */
  readonly own?: { readonly certificate: string; readonly key: string };
}

/** What a channel needs to speak to the service that was checked. */
export interface SecureChannel {
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
}

const MIN_VERSION = 'TLSv1.3';

/**
 * Shakes hands with the service before any request, and makes the credentials under which every connection of a
 * channel is checked again: a pinned certificate is their only root, and compared byte for byte (by its digest).
 *
 * @throws ZkLoraError `CONTRIBUTOR_UNTRUSTED`, `CONTRIBUTOR_UNREACHABLE`, `CONTRIBUTOR_REFUSED` when the service asks
 * for a certificate that the user does not have
 */
export async function secureChannel(
  address: Address,
  tls: ClientTls,
  timeoutMs: number,
): Promise<SecureChannel> {
  const { trust, own } = tls;
  // Without the user's own certificate, so that a wrong service does not learn who the user is.
  const shown = await shakeHands(address, trust.kind === 'authorities' ? { ca: trust.pem } : {}, timeoutMs);
  if (trust.kind === 'pin') requirePinned(shown, trust.fingerprint, address);
  else if (shown.problem !== undefined) throw untrusted(address, shown.problem);
  if (shown.turnsAway && own === undefined) {
    throw refused(`the contributor at ${formatAddress(address)} asks for a client certificate`);
  }
  const checkIdentity = (_: string, certificate: PeerCertificate): Error | undefined => {
    if (trust.kind !== 'pin') return checkServerIdentity(address.host, certificate);
    if (fingerprint(certificate.raw) === trust.fingerprint) return undefined;
    return new Error('the certificate is not the pinned one');
  };
  const context = {
    ...(trust.kind === 'authorities' && { ca: trust.pem }),
    ...(trust.kind === 'pin' && { ca: toPem(shown.certificate), allowPartialTrustChain: true }),
    ...(own !== undefined && { cert: own.certificate, key: own.key }),
    minVersion: MIN_VERSION,
  } as const;
  const checked = { ...context, checkServerIdentity: checkIdentity };
  const again = await shakeHands(address, checked, timeoutMs);
  if (again.problem !== undefined) throw untrusted(address, again.problem);
  if (again.turnsAway) throw refused('the contributor does not take the client certificate');
  return {
    credentials: credentials.createFromSecureContext(createSecureContext(context), {
      checkServerIdentity: checkIdentity,
      rejectUnauthorized: true,
    }),
    // The name in the handshake of an address without one; the check above knows what to compare.
    options: { 'grpc.ssl_target_name_override': serverName(address) },
  };
}

/** What a service showed in a handshake. */
interface Shown {
  /** DER. */
  readonly certificate: Uint8Array;
  /** Why the certificate does not hold under the options of the handshake. */
  readonly problem?: string;
  /** The service ended the connection after the handshake, as it does for want of a client certificate. */
  readonly turnsAway: boolean;
}

/** An HTTP/2 service speaks first (its settings) once the handshake is done. */
function shakeHands(
  address: Address,
  options: ConnectionOptions & { allowPartialTrustChain?: boolean },
  timeoutMs: number,
): Promise<Shown> {
  return new Promise((resolve, reject) => {
    let shown: Omit<Shown, 'turnsAway'> | undefined;
    const socket: TLSSocket = connect({
      host: address.host,
      port: address.port,
      servername: serverName(address),
      checkServerIdentity: (_, certificate) => checkServerIdentity(address.host, certificate),
      ...options,
      // Checked by hand, so that the reason is known.
      rejectUnauthorized: false,
      minVersion: MIN_VERSION,
      ALPNProtocols: ['h2'],
    });
    const timer = setTimeout(() => settle(() => reject(unreachable(address))), timeoutMs);
    const settle = (end: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      end();
    };
    socket.once('secureConnect', () => {
      const problem = socket.authorized ? undefined : String(socket.authorizationError);
      shown = {
        certificate: new Uint8Array(socket.getPeerCertificate().raw),
        ...(problem !== undefined && { problem }),
      };
    });
    socket.once('data', () =>
      settle(() => (shown ? resolve({ ...shown, turnsAway: false }) : reject(unreachable(address)))),
    );
    socket.once('error', (error: NodeJS.ErrnoException) =>
      settle(() => {
        if (shown !== undefined) resolve({ ...shown, turnsAway: true });
        else if (error.code?.startsWith('ERR_SSL') === true)
          reject(untrusted(address, 'it speaks no TLS 1.3'));
        else reject(unreachable(address, error));
      }),
    );
    socket.once('close', () =>
      settle(() => (shown ? resolve({ ...shown, turnsAway: true }) : reject(unreachable(address)))),
    );
  });
}

function requirePinned(shown: Shown, pinned: string, address: Address): void {
  const seen = fingerprint(shown.certificate);
  if (seen === pinned) return;
  throw new ZkLoraError(
    'CONTRIBUTOR_UNTRUSTED',
    `${formatAddress(address)} shows another certificate than the pinned one: somebody may be in between; ask the ` +
      'contributor, on another way, for the fingerprint that zklora serve prints',
    { details: { pinned, seen } },
  );
}

function untrusted(address: Address, problem: string): ZkLoraError {
  return new ZkLoraError(
    'CONTRIBUTOR_UNTRUSTED',
    `the certificate of ${formatAddress(address)} is not trusted: ${problem}; pin the fingerprint that zklora serve ` +
      'prints, or name the authority that issued it',
    { details: { problem } },
  );
}

function refused(message: string): ZkLoraError {
  return new ZkLoraError('CONTRIBUTOR_REFUSED', `${message}; give one that it takes, with its key`, {
    details: { status: 'UNAUTHENTICATED' },
  });
}

function unreachable(address: Address, cause?: unknown): ZkLoraError {
  return new ZkLoraError(
    'CONTRIBUTOR_UNREACHABLE',
    `no answer from the contributor at ${formatAddress(address)}; is it running there?`,
    { cause },
  );
}

/** RFC 6066 allows no address as a server name. */
function serverName({ host }: Address): string {
  return isIP(host) === 0 ? host : OWN_CERTIFICATE_NAME;
}

function toPem(der: Uint8Array): string {
  const lines = Buffer.from(der)
    .toString('base64')
    .match(/.{1,64}/g)!;
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
