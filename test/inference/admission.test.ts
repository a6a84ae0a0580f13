import { describe, expect, it } from 'vitest';
import { Admission, DEFAULT_LIMITS } from '../../src/inference/admission.js';
import { MAX_RECEIVING_BYTES, PEER_SHARE } from '../../src/inference/limits.js';
import { MemoryBudget } from '../../src/inference/memoryBudget.js';
import { MessageGuard } from '../../src/inference/messageGuard.js';
import { LOCAL_PEER, peerOf, peerOfCall } from '../../src/inference/peers.js';
import { TokenBuckets } from '../../src/inference/tokenBucket.js';
import { grpcMessage } from '../support/http2Frames.js';

const limit = expect.objectContaining({ code: 'LIMIT_REACHED' });
const still = { now: () => 0, every: () => () => undefined };

describe('peerOf', () => {
  it.each([
    ['127.0.0.1', LOCAL_PEER],
    ['::1', LOCAL_PEER],
    ['::ffff:127.0.0.9', LOCAL_PEER],
    ['10.1.2.3', '10.1.2.3'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::10.1.2.3', '64:ff9b:0:0::/64'],
    ['2001:db8:1:2:3:4:10.1.2.3', '2001:db8:1:2::/64'],
    [undefined, 'unknown'],
    ['nonsense', 'unknown'],
  ])('%s counts as %s', (address, peer) => {
    expect(peerOf(address)).toBe(peer);
    expect(peerOfCall({ getPeer: () => (address === undefined ? 'unknown' : `${address}:50123`) })).toBe(
      peer,
    );
  });
});

describe('TokenBuckets', () => {
  it('lets a burst pass, then as much as comes back', () => {
    let now = 0;
    const buckets = new TokenBuckets({ perSecond: 10, burst: 3 }, () => now);
    const takes = (peer: string) =>
      Array.from({ length: 5 }, () => buckets.tryTake(peer)).filter(Boolean).length;
    expect(takes('a')).toBe(3);
    expect(takes('b')).toBe(3);
    now = 99;
    expect(takes('a')).toBe(0);
    now = 200;
    expect(takes('a')).toBe(2);
    now = 1e6;
    expect(takes('a')).toBe(3);
  });

  it('says how long to wait, one after the other', () => {
    let now = 0;
    const buckets = new TokenBuckets({ perSecond: 10, burst: 2 }, () => now);
    expect([1, 2, 3, 4].map(() => buckets.reserve('a'))).toEqual([0, 0, 100, 200]);
    now = 100;
    expect(buckets.reserve('a')).toBe(200);
  });

  it('remembers a bounded number of peers', () => {
    let now = 0;
    const buckets = new TokenBuckets({ perSecond: 1, burst: 1 }, () => now);
    for (let i = 0; i < 65_536; i += 1) buckets.tryTake(`peer ${i}`);
    expect(buckets.tryTake('peer 7')).toBe(false);
    now = 5000;
    expect(buckets.tryTake('one more')).toBe(true);
    expect((buckets as unknown as { buckets: Map<string, unknown> }).buckets.size).toBe(1);
  });
});

describe('Admission', () => {
  const limits = { ...DEFAULT_LIMITS, connections: 3, connectionsPerPeer: 2, calls: 3, callsPerPeer: 2 };

  it('counts connections and calls, in all and for each peer', () => {
    const admission = new Admission(limits, still);
    const ends = [admission.connection('a'), admission.connection('a'), admission.connection('b')];
    expect(ends.every((end) => end !== undefined)).toBe(true);
    expect(admission.connection('c')).toBeUndefined();
    ends[2]!();
    expect(admission.connection('a')).toBeUndefined();
    expect(admission.connection('c')).toBeDefined();
    // ending twice frees one place
    ends[0]!();
    ends[0]!();
    expect(admission.connection('a')).toBeDefined();
    expect(admission.connection('b')).toBeUndefined();

    const first = admission.call('a');
    admission.call('a');
    expect(() => admission.call('a')).toThrow(limit);
    admission.call('b');
    expect(() => admission.call('b')).toThrow(limit);
    first();
    admission.call('b');
  });

  it('makes room for who is below its own limit alone', () => {
    const admission = new Admission(limits, still);
    const ends = [admission.call('a'), admission.call('a'), admission.call('b')];
    let asked = 0;
    const makeRoom = () => {
      asked += 1;
      ends.pop()?.();
    };
    expect(() => admission.call('a', makeRoom)).toThrow(limit);
    expect(asked).toBe(0);
    admission.call('c', makeRoom);
    expect(asked).toBe(1);
    // one of its own gives way to another of the same peer, which is counted once
    admission.call('c', makeRoom);
    expect(() => admission.call('c', makeRoom)).toThrow(limit);
    expect(asked).toBe(2);
    ends.length = 0;
    expect(() => admission.call('d', makeRoom)).toThrow(limit);
  });

  it('leaves programs on this machine to the totals, unless told otherwise', () => {
    const open = new Admission({ ...limits, requestsPerSecond: 1, requestsBurst: 1 }, still);
    for (let i = 0; i < 3; i += 1) {
      open.request(LOCAL_PEER);
      open.call(LOCAL_PEER);
    }
    expect(() => open.call(LOCAL_PEER)).toThrow(limit);
    expect(open.delay(LOCAL_PEER)).toBe(0);
    const strict = new Admission({ ...limits, peersOnThisMachine: 'limited' }, still);
    strict.call(LOCAL_PEER);
    strict.call(LOCAL_PEER);
    expect(() => strict.call(LOCAL_PEER)).toThrow(limit);
  });

  it('refuses calls that come too fast, and slows streams down', () => {
    const admission = new Admission({ ...limits, requestsPerSecond: 4, requestsBurst: 2 }, still);
    admission.request('a');
    expect(admission.delay('a')).toBe(0);
    expect(() => admission.request('a')).toThrow(limit);
    expect(admission.delay('a')).toBe(250);
    expect(admission.delay('a')).toBe(500);
  });

  it('takes no call once it ends', () => {
    const admission = new Admission(limits, still);
    admission.end();
    expect(() => admission.request('a')).toThrow(
      expect.objectContaining({ code: 'SHUTTING_DOWN', details: { grpcStatus: 'UNAVAILABLE' } }),
    );
  });
});

describe('MessageGuard', () => {
  const guard = (maxBytes = 1000) =>
    new MessageGuard(new MemoryBudget(MAX_RECEIVING_BYTES, 'messages arrive'), maxBytes);

  it.each([1, 2, 4, 7, 1000])('finds the messages in pieces of %i bytes', (size) => {
    const bytes = Buffer.concat([
      grpcMessage(Buffer.alloc(0)),
      grpcMessage(Buffer.alloc(10)),
      grpcMessage(Buffer.alloc(20)),
    ]);
    const messages = guard();
    let whole = 0;
    for (let at = 0; at < bytes.length; at += size) whole += messages.take(bytes.subarray(at, at + size));
    expect(whole).toBe(3);
    expect(messages.isInMessage).toBe(false);
  });

  it('refuses at the prefix what is too large or compressed', () => {
    const of =
      (...prefix: number[]) =>
      () =>
        guard().take(Buffer.from(prefix));
    expect(of(0, 0, 0, 3, 232)).not.toThrow();
    expect(of(0, 0, 0, 3, 233)).toThrow(limit);
    expect(of(0, 255, 255, 255, 255)).toThrow(limit);
    expect(of(1, 0, 0, 0, 1)).toThrow(expect.objectContaining({ code: 'SESSION_MALFORMED' }));
  });

  it('refuses messages in tiny pieces, and takes many small messages', () => {
    const small = guard();
    for (let i = 0; i < 5000; i += 1) expect(small.take(grpcMessage(Buffer.alloc(3)))).toBe(1);
    const tiny = guard(2 ** 20);
    tiny.take(grpcMessage(Buffer.alloc(0), 2 ** 20));
    expect(() => {
      for (let i = 0; i < 1000; i += 1) tiny.take(Buffer.alloc(1));
    }).toThrow(limit);
    const usual = guard(2 ** 20);
    usual.take(grpcMessage(Buffer.alloc(0), 2 ** 20));
    for (let i = 0; i < 1024; i += 1) usual.take(Buffer.alloc(1024));
    expect(usual.isInMessage).toBe(false);
  });

  it('bounds what arrives in all streams, and gives it back', () => {
    const memory = new MemoryBudget(MAX_RECEIVING_BYTES, 'messages arrive');
    memory.take(MAX_RECEIVING_BYTES - 10);
    const messages = new MessageGuard(memory, 1000);
    messages.take(grpcMessage(Buffer.alloc(10), 20));
    expect(() => messages.take(Buffer.alloc(1))).toThrow(limit);
    messages.release();
    messages.release();
    memory.take(10);
    expect(() => memory.take(1)).toThrow(limit);
  });

  it('has a share for one peer, and gives it back', () => {
    const memory = new MemoryBudget(MAX_RECEIVING_BYTES, 'messages arrive');
    const half = PEER_SHARE * MAX_RECEIVING_BYTES;
    memory.take(half - 10, 'a');
    const messages = new MessageGuard(memory, 1000, 'a');
    messages.take(grpcMessage(Buffer.alloc(10), 20));
    expect(() => messages.take(Buffer.alloc(1))).toThrow(limit);
    // others have theirs, and those without a share what is left
    memory.take(half - 10, 'b');
    memory.take(10);
    expect(() => memory.take(1, 'c')).toThrow(limit);
    messages.release();
    memory.give(half - 10, 'a');
    memory.take(half, 'a');
    expect(() => memory.take(1)).toThrow(limit);
  });

  it('counts a whole message until it is answered', () => {
    const memory = new MemoryBudget(MAX_RECEIVING_BYTES, 'messages arrive');
    memory.take(MAX_RECEIVING_BYTES - 10);
    const messages = new MessageGuard(memory, 1000);
    expect(messages.take(Buffer.concat([grpcMessage(Buffer.alloc(4)), grpcMessage(Buffer.alloc(6))]))).toBe(
      2,
    );
    expect(() => memory.take(1)).toThrow(limit);
    messages.answered();
    memory.take(4);
    expect(() => memory.take(1)).toThrow(limit);
    messages.release();
    memory.take(6);
    expect(() => memory.take(1)).toThrow(limit);
  });
});
