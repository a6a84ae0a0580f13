import { describe, expect, it } from 'vitest';
import { LaterWork } from '../../src/inference/laterWork.js';
import { nextTurn } from '../../src/nextTurn.js';

describe('work for later', () => {
  it('is done by itself, in order, a piece in a turn', async () => {
    const work = new LaterWork();
    const done: number[] = [];
    for (const i of [1, 2, 3]) work.later(() => done.push(i));
    expect(done).toEqual([]);
    const lengths = new Set<number>();
    for (; done.length < 3; await nextTurn()) lengths.add(done.length);
    expect(done).toEqual([1, 2, 3]);
    expect([...lengths]).toEqual([0, 1, 2]);
  });

  it('is done when it is waited for', async () => {
    const work = new LaterWork();
    const done: number[] = [];
    for (const i of [1, 2]) work.later(() => done.push(i));
    await work.end();
    expect(done).toEqual([1, 2]);
    await work.end();
    expect(done).toEqual([1, 2]);
  });

  it('fails where it is waited for, and goes on from the piece that failed', async () => {
    const work = new LaterWork();
    const done: number[] = [];
    let isBroken = true;
    work.later(() => {
      if (isBroken) throw new Error('broken');
      done.push(1);
    });
    work.later(() => done.push(2));
    // one turn of the timer, which must not throw
    await new Promise((resolve) => setTimeout(resolve, 5));
    await expect(work.end()).rejects.toThrow('broken');
    isBroken = false;
    await work.end();
    expect(done).toEqual([1, 2]);
  });

  it('is forgotten when it is cleared, and what comes later is done', async () => {
    const work = new LaterWork();
    const done: number[] = [];
    for (const i of [1, 2]) work.later(() => done.push(i));
    work.clear();
    await work.end();
    expect(done).toEqual([]);
    work.later(() => done.push(3));
    while (done.length === 0) await nextTurn();
    expect(done).toEqual([3]);
  });

  it('lets other work have its turn between the parts of a piece, waited for or not', async () => {
    const work = new LaterWork();
    const done: number[] = [];
    const long = function* (): Generator<void> {
      for (let part = 0; part < 4; part += 1) {
        const until = performance.now() + 5;
        while (performance.now() < until);
        done.push(part);
        yield;
      }
    };
    for (const isAwaited of [true, false]) {
      done.length = 0;
      work.laterInParts(long);
      work.later(() => done.push(4));
      const end = isAwaited ? work.end() : undefined;
      const lengths = new Set<number>();
      for (; done.length < 5; await nextTurn()) lengths.add(done.length);
      expect(done).toEqual([0, 1, 2, 3, 4]);
      expect([...lengths].filter((length) => length > 0 && length < 4).length).toBeGreaterThan(1);
      await end;
    }
  });

  it('begins a piece again whose later part failed, and one that was forgotten half done not at all', async () => {
    const work = new LaterWork();
    const done: string[] = [];
    let isBroken = true;
    work.laterInParts(function* () {
      done.push('begun');
      yield;
      if (isBroken) throw new Error('broken');
      done.push('ended');
    });
    await expect(work.end()).rejects.toThrow('broken');
    isBroken = false;
    await work.end();
    expect(done).toEqual(['begun', 'begun', 'ended']);

    work.laterInParts(function* () {
      done.push('forgotten');
      work.clear();
      yield;
      done.push('never');
    });
    work.later(() => done.push('nor this'));
    await work.end();
    expect(done.slice(3)).toEqual(['forgotten']);
  });
});
