import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { ZkLoraError } from '../errors.js';
import { type Address, formatAddress } from './address.js';
import { TLS_HANDSHAKE_MS } from './limits.js';
import type { ServerTls } from './serverTls.js';

export interface ListenOptions {
  /** Port 0 takes a free one. */
  readonly address: Address;
  /** Plain text without it. */
  readonly tls?: ServerTls;
  /** Whether one more connection from an address may come in; called once for each, before any byte is read. */
  readonly admit: (socket: Socket) => boolean;
  /** Takes a connection; with TLS, once its handshake is done. */
  readonly accept: (socket: Socket) => void;
}

/** A bound port. */
export interface Listener {
  /** With the port that was taken. */
  readonly address: Address;
  /** Takes no more connections; those taken stay. */
  close(): void;
  /** Cuts the connections that are left, also those in their handshake. */
  destroy(): void;
}

/**
 * Listens for connections and secures them.
 *
 * @throws ZkLoraError `CONTRIBUTOR_UNREACHABLE` when the address cannot be bound
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const secure = options.tls === undefined ? options.accept : securing(options.tls, options.accept);
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // One that breaks off during the handshake; HTTP/2 adds its own listener later.
    socket.on('error', () => socket.destroy());
    if (options.admit(socket)) secure(socket);
    else socket.destroy();
  });
  const port = await bind(server, options.address);
  // Such as too many open files while a connection is taken: it is lost, the service goes on.
  server.on('error', () => undefined);
  return {
    address: { host: options.address.host, port },
    close: () => server.close(),
    destroy: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Hands sockets to a TLS server that has no port of its own. */
function securing(tls: ServerTls, accept: (socket: Socket) => void): (socket: Socket) => void {
  const { clientCa } = tls;
  const server = createTlsServer(
    {
      key: tls.key,
      cert: tls.certificate,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
      handshakeTimeout: TLS_HANDSHAKE_MS,
      ...(clientCa !== undefined && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
    },
    accept,
  );
  server.on('tlsClientError', (_, socket) => socket.destroy());
  return (socket) => server.emit('connection', socket);
}

function bind(server: Server, address: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new ZkLoraError(
          'CONTRIBUTOR_UNREACHABLE',
          `cannot listen on ${formatAddress(address)}; choose another port`,
          { cause },
        ),
      );
    });
    server.listen({ host: address.host, port: address.port }, () => {
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : address.port);
    });
  });
}
