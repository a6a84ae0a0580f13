import type { Socket } from 'node:net';
import type { Admission } from './admission.js';
import type { Clock } from './clock.js';
import { CALL_QUIET_MS, TLS_HANDSHAKE_MS } from './limits.js';
import { peerOf } from './peers.js';

/** What a socket says of its other side; nothing once it is closed. */
interface RemoteEnd {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

interface Connection {
  readonly socket: Socket;
  readonly release: () => void;
  /** Calls under way that were let in. */
  calls: number;
  /** When it came, or the last of its calls ended. */
  since: number;
  /** Whether a call of it was let in. */
  isKnown: boolean;
}

/** The connections of a service. When all places are taken, one that is of no use gives its own to another. */
export class Connections {
  private readonly open = new Map<string, Connection>();

  constructor(
    private readonly admission: Admission,
    private readonly clock: Clock,
  ) {}

  /** Whether one more may come in; its place is free again when it closes. */
  admit(socket: Socket): boolean {
    const release = this.admission.connection(peerOf(socket.remoteAddress), () => this.endUseless());
    if (release === undefined) return false;
    const name = nameOf(socket);
    this.open.set(name, { socket, release, calls: 0, since: this.clock.now(), isKnown: false });
    socket.once('close', () => {
      release();
      if (this.open.get(name)?.socket === socket) this.open.delete(name);
    });
    return true;
  }

  /** A call that was let in begins. @returns ends it */
  begin(socket: RemoteEnd): () => void {
    const connection = this.open.get(nameOf(socket));
    if (connection === undefined) return () => undefined;
    connection.isKnown = true;
    connection.calls += 1;
    return () => {
      connection.calls -= 1;
      connection.since = this.clock.now();
    };
  }

  /** First those of which no call was let in for as long as a handshake may take, then those without a call for a minute. */
  private endUseless(): void {
    const now = this.clock.now();
    const [useless] = [...this.open]
      .filter(([, { calls, since, isKnown }]) => {
        const enough = isKnown ? CALL_QUIET_MS : TLS_HANDSHAKE_MS;
        return calls === 0 && now - since >= enough;
      })
      .sort(([, a], [, b]) => Number(a.isKnown) - Number(b.isKnown) || a.since - b.since);
    if (useless === undefined) return;
    const [name, { socket, release }] = useless;
    this.open.delete(name);
    socket.destroy();
    release();
  }
}

function nameOf({ remoteAddress, remotePort }: RemoteEnd): string {
  return `${remoteAddress} ${remotePort}`;
}
