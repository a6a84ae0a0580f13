import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseAdapterCommitment } from '../../src/adapter/commitment.js';
import { connectContributor } from '../../src/inference/client.js';
import type { ClientTls } from '../../src/inference/clientTls.js';
import { ownTls, readCertificates, type ServerTls, tlsFromFiles } from '../../src/inference/serverTls.js';
import { AccessTokens } from '../../src/inference/tokens.js';
import { type Issued, issue, pinTo, serverTls } from './certificates.js';
import { temporaryFolder } from './fixtures.js';
import { commitTo, INPUTS, MODULES, type Served, serve, USER } from './parties.js';

const AUTHORITY = issue('authority', { isAuthority: true });
const SERVICE = issue('service', { issuer: AUTHORITY, names: ['localhost', '127.0.0.1'] });
const SELF_SIGNED = issue('alone');
const COMMITMENT = commitTo(MODULES);

const byAuthority: ClientTls = { trust: { kind: 'authorities', pem: AUTHORITY.certificate } };
const untrusted = (message = /./) =>
  expect.objectContaining({ code: 'CONTRIBUTOR_UNTRUSTED', message: expect.stringMatching(message) });

async function start(tls: ServerTls, client: ClientTls, more: object = {}): Promise<Served> {
  return serve({ dir: await temporaryFolder(), serving: { tls, ...more }, connecting: { tls: client } });
}

describe('TLS of the service', () => {
  it.each([
    ['a pinned self-signed certificate', SELF_SIGNED, pinTo(SELF_SIGNED)],
    ['a pinned certificate of an authority that is not trusted', SERVICE, pinTo(SERVICE)],
    ['a certificate of a trusted authority', SERVICE, byAuthority],
  ])('serves whole sessions under %s', async (_, issued, tls) => {
    const { client, commitment } = await start(serverTls(issued), tls);
    expect(parseAdapterCommitment(await client.describe())).toEqual(commitment);
    await client.openSession({ commitment, user: USER, inputs: INPUTS });
  });

  const expired = issue('service', { issuer: AUTHORITY, names: ['127.0.0.1'], until: -0.5 });
  const early = issue('service', { issuer: AUTHORITY, names: ['127.0.0.1'], from: 0.5 });
  const elsewhere = issue('service', { issuer: AUTHORITY, names: ['example.org', '10.0.0.1'] });
  const sameName = issue('service', { issuer: AUTHORITY, names: ['localhost', '127.0.0.1'] });
  const copied = issue('alone');
  it.each([
    ['another certificate of the right name and a trusted authority', sameName, pinTo(SERVICE), /pinned/],
    ['another self-signed certificate of the same name', copied, pinTo(SELF_SIGNED), /pinned/],
    ['an issued certificate where its authority is pinned', SERVICE, pinTo(AUTHORITY), /pinned/],
    ['a pinned certificate that is expired', expired, pinTo(expired), /CERT_HAS_EXPIRED/],
    ['a pinned certificate that is not valid yet', early, pinTo(early), /CERT_NOT_YET_VALID/],
    ['an expired certificate of a trusted authority', expired, byAuthority, /CERT_HAS_EXPIRED/],
    ['a certificate of another host', elsewhere, byAuthority, /ALTNAME/],
    ['a self-signed certificate without a pin', SELF_SIGNED, byAuthority, /SELF_SIGNED/],
    [
      'a private authority that the system does not know',
      SERVICE,
      { trust: { kind: 'system' } },
      /UNABLE|SELF/,
    ],
  ] as [string, Issued, ClientTls, RegExp][])(
    'is refused before any request: %s',
    async (_, issued, tls, why) => {
      await expect(start(serverTls(issued), tls)).rejects.toEqual(untrusted(why));
    },
  );

  it('checks every connection of a channel, also after the service was taken over', async () => {
    // A forwarder stands for the network: it leads to the contributor first, to somebody else then.
    const honest = await start(serverTls(SELF_SIGNED), pinTo(SELF_SIGNED));
    const thief = await start(serverTls(copied), pinTo(copied));
    let target = honest.server.address.port;
    const sockets = new Set<Socket>();
    let connections = 0;
    const network = createServer((socket) => {
      connections += 1;
      const onward = connect(target, '127.0.0.1');
      for (const end of [socket, onward]) {
        sockets.add(end);
        end.on('error', () => undefined);
      }
      socket.pipe(onward).pipe(socket);
    });
    await new Promise<void>((resolve) => network.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      network.close();
    });
    const { port } = network.address() as { port: number };
    const client = await connectContributor({
      address: { host: '127.0.0.1', port },
      tls: pinTo(SELF_SIGNED),
      timeouts: { answer: 1_500 },
      // connects again, and does not wait for a restart
      retry: { attempts: 1, firstPause: 10 },
    });
    onTestFinished(() => client.close());
    await client.describe();
    target = thief.server.address.port;
    const before = connections;
    for (const socket of sockets) socket.destroy();
    await expect(client.describe()).rejects.toMatchObject({ code: 'CONTRIBUTOR_UNREACHABLE' });
    await expect(client.describe()).rejects.toMatchObject({ code: 'CONTRIBUTOR_UNREACHABLE' });
    expect(connections).toBeGreaterThan(before);
    expect(thief.events.filter(({ method }) => method === 'describe')).toEqual([]);
  });

  it('takes no older protocol version and no plain text', async () => {
    const { server } = await start(serverTls(SELF_SIGNED), pinTo(SELF_SIGNED));
    const old = connectTls({ ...server.address, rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
    const [error] = await new Promise<[NodeJS.ErrnoException]>((resolve) =>
      old.on('error', (cause: NodeJS.ErrnoException) => resolve([cause])),
    );
    expect(error.code).toMatch(/PROTOCOL_VERSION/);
    await expect(
      connectContributor({ address: server.address, timeouts: { connect: 400 } }),
    ).rejects.toMatchObject({ code: 'CONTRIBUTOR_UNREACHABLE' });
  });

  it('is not spoken to in plain text by a client that wants it', async () => {
    const { server } = await serve({ dir: await temporaryFolder() });
    await expect(connectContributor({ address: server.address, tls: pinTo(SELF_SIGNED) })).rejects.toEqual(
      untrusted(/TLS/),
    );
  });

  it('hides from the service no address that limits count by', async () => {
    const limits = { callsPerPeer: 0, connectionsPerPeer: 0 };
    const open = await start(serverTls(SELF_SIGNED), pinTo(SELF_SIGNED), { limits });
    await open.client.describe();
    const strict = { callsPerPeer: 0, peersOnThisMachine: 'limited' };
    const { client } = await start(serverTls(SELF_SIGNED), pinTo(SELF_SIGNED), { limits: strict });
    await expect(client.describe()).rejects.toMatchObject({ details: { contributorCode: 'LIMIT_REACHED' } });
  });

  it('says that nobody answers', async () => {
    const { server } = await start(serverTls(SELF_SIGNED), pinTo(SELF_SIGNED));
    await server.close();
    await expect(
      connectContributor({ address: server.address, tls: pinTo(SELF_SIGNED) }),
    ).rejects.toMatchObject({ code: 'CONTRIBUTOR_UNREACHABLE' });
  });
});

describe('client certificates', () => {
  const users = issue('users', { isAuthority: true });
  const user = issue('user', { issuer: users });
  const stranger = issue('user');
  const tls = serverTls(SELF_SIGNED, users);
  const own = (issued: Issued): ClientTls => ({ ...pinTo(SELF_SIGNED), own: issued });
  const refused = (message: RegExp) =>
    expect.objectContaining({
      code: 'CONTRIBUTOR_REFUSED',
      message: expect.stringMatching(message),
      details: { origin: 'contributor', status: 'UNAUTHENTICATED' },
    });

  it('lets in whom the authority has certified', async () => {
    const { client, commitment } = await start(tls, own(user));
    expect(parseAdapterCommitment(await client.describe())).toEqual(commitment);
  });

  it.each([
    ['no certificate', pinTo(SELF_SIGNED), /asks for a client certificate/],
    ['a certificate of nobody', own(stranger), /does not take the client certificate/],
    [
      'an expired certificate',
      own(issue('user', { issuer: users, until: -0.5 })),
      /does not take the client certificate/,
    ],
  ])('refuses %s', async (_, client, message) => {
    await expect(start(tls, client)).rejects.toEqual(refused(message));
  });
});

describe('tokens', () => {
  const token = 't'.repeat(40);
  const tokens = AccessTokens.parse(`alice ${token}\nbob ${'b'.repeat(40)}\n`);
  const serving = { tokens };
  const refused = expect.objectContaining({
    code: 'CONTRIBUTOR_REFUSED',
    details: { contributorCode: 'ACCESS_REFUSED', status: 'UNAUTHENTICATED' },
  });

  it('are needed for every method', async () => {
    const { client, server } = await serve({ dir: await temporaryFolder(), serving, connecting: { token } });
    const commitment = COMMITMENT;
    expect(parseAdapterCommitment(await client.describe())).toEqual(commitment);
    const session = await client.openSession({ commitment, user: USER, inputs: INPUTS });
    for (const wrong of [{}, { token: 'u'.repeat(40) }]) {
      const other = await connectContributor({ address: server.address, ...wrong });
      onTestFinished(() => other.close());
      await expect(other.describe()).rejects.toEqual(refused);
      await expect(other.openSession({ commitment, user: USER, inputs: INPUTS })).rejects.toEqual(refused);
    }
    session.abandon();
  });

  it('never go out in plain text to other machines', async () => {
    await expect(
      connectContributor({ address: { host: '192.0.2.1', port: 1 }, allowInsecure: true, token }),
    ).rejects.toMatchObject({ code: 'USAGE' });
    await expect(
      serve({
        dir: await temporaryFolder(),
        serving: { tokens, allowInsecure: true, address: { host: '0.0.0.0', port: 0 } },
      }),
    ).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe("the service's own certificate", () => {
  it('is made once, for its owner alone', async () => {
    const dir = join(await temporaryFolder(), 'tls');
    const [one, other] = await Promise.all([ownTls(dir), ownTls(dir)]);
    expect(other).toEqual(one);
    expect(await ownTls(dir)).toEqual(one);
    expect(one.exposed).toBe(false);
    expect((await stat(join(dir, 'tls.pem'))).mode & 0o777).toBe(0o600);
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    expect(await readdir(dir)).toEqual(['tls.pem']);
    const { client } = await start(one, { trust: { kind: 'pin', fingerprint: one.fingerprint } });
    await client.describe();
    const another = await ownTls(join(await temporaryFolder(), 'tls'));
    expect(another.fingerprint).not.toBe(one.fingerprint);
  });

  it('is refused when it was damaged', async () => {
    const dir = join(await temporaryFolder(), 'tls');
    await ownTls(dir);
    const path = join(dir, 'tls.pem');
    await writeFile(path, (await readFile(path, 'utf8')).replace('BEGIN CERTIFICATE', 'BEGIN CERTIFICAT'));
    await expect(ownTls(dir)).rejects.toMatchObject({ code: 'CERTIFICATE_INVALID' });
  });
});

describe('certificates from files', () => {
  async function files(key: string, certificate: string) {
    const dir = await temporaryFolder();
    const paths = { key: join(dir, 'key.pem'), certificate: join(dir, 'cert.pem') };
    await writeFile(paths.key, key, { mode: 0o600 });
    await writeFile(paths.certificate, certificate);
    return paths;
  }

  it('are read with what lies behind them', async () => {
    const chain = SERVICE.certificate + AUTHORITY.certificate;
    const tls = await tlsFromFiles(await files(SERVICE.key, chain));
    expect(tls).toEqual({ ...serverTls(SERVICE), certificate: chain });
    const { client } = await start(tls, byAuthority);
    await client.describe();
  });

  const expired = issue('old', { until: -0.5 });
  it.each([
    ['a key of another certificate', SELF_SIGNED.key, SERVICE.certificate, /belong together/],
    ['no key', 'hello', SERVICE.certificate, /key does not parse/],
    ['no certificate', SERVICE.key, 'hello', /PEM/],
    ['a certificate that is cut off', SERVICE.key, SERVICE.certificate.replace(/\n[^-\n]+\n/, '\n'), /parse/],
    ['an expired certificate', expired.key, expired.certificate, /expired/],
  ])('are refused: %s', async (_, key, certificate, message) => {
    await expect(tlsFromFiles(await files(key, certificate))).rejects.toMatchObject({
      code: 'CERTIFICATE_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it('give authorities without what else is in the file', async () => {
    const { certificate } = await files(
      '',
      `# ours\n${AUTHORITY.certificate}${SERVICE.key}${SELF_SIGNED.certificate}`,
    );
    expect(await readCertificates(certificate, 'authority')).toBe(
      AUTHORITY.certificate + SELF_SIGNED.certificate,
    );
    const { key } = await files(SERVICE.key, '');
    await expect(readCertificates(key, 'authority')).rejects.toMatchObject({ code: 'CERTIFICATE_INVALID' });
  });
});
