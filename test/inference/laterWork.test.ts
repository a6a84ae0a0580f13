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

  it('is done at once when it is waited for', () => {
    const work = new LaterWork();
    const done: number[] = [];
    for (const i of [1, 2]) work.later(() => done.push(i));
    work.end();
    expect(done).toEqual([1, 2]);
    work.end();
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
    expect(() => work.end()).toThrow('broken');
    isBroken = false;
    work.end();
    expect(done).toEqual([1, 2]);
  });

  it('is forgotten when it is cleared, and what comes later is done', async () => {
    const work = new LaterWork();
    const done: number[] = [];
    for (const i of [1, 2]) work.later(() => done.push(i));
    work.clear();
    work.end();
    expect(done).toEqual([]);
    work.later(() => done.push(3));
    while (done.length === 0) await nextTurn();
    expect(done).toEqual([3]);
  });
});
