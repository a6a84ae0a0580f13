import { describe, expect, it } from 'vitest';
import { UserQueue } from '../../src/inference/userQueue.js';

/** A queue whose pieces end when they are told to; `begun` are those that came to their turn. */
function manual() {
  const queue = new UserQueue();
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const add = (user: string, name: string): Promise<string> =>
    queue.run(user, async () => {
      begun.push(name);
      await new Promise<void>((resolve) => ends.push(resolve));
      return name;
    });
  const step = async (): Promise<void> => {
    await new Promise(setImmediate);
    ends.shift()?.();
    await new Promise(setImmediate);
  };
  return { queue, begun, add, step };
}

describe('a queue in which users take turns', () => {
  it('lets whoever comes wait for one piece of each other user at most', async () => {
    const { begun, add, step } = manual();
    const added = ['a0', 'a1', 'a2'].map((name) => add('a', name));
    added.push(add('b', 'b0'), add('b', 'b1'));
    await step();
    // a0 is done and b0 under way; c comes ahead of what b has left, and behind a
    added.push(add('c', 'c0'), add('a', 'a3'));
    for (let i = 0; i < 6; i += 1) await step();
    expect(await Promise.all(added)).toEqual(['a0', 'a1', 'a2', 'b0', 'b1', 'c0', 'a3']);
    expect(begun).toEqual(['a0', 'b0', 'a1', 'c0', 'b1', 'a2', 'a3']);
  });

  it('lets nobody who asks again and again keep others from their turn', async () => {
    const { begun, add, step } = manual();
    const flood = add('a', 'a0').then(() => add('a', 'a1'));
    const other = new Promise(setImmediate).then(() => add('b', 'b0'));
    for (let i = 0; i < 4; i += 1) await step();
    await Promise.all([flood, other]);
    expect(begun).toEqual(['a0', 'b0', 'a1']);
  });

  it('goes on after a failure, and runs one piece at a time', async () => {
    const queue = new UserQueue();
    let running = 0;
    const work = (fails: boolean) => async () => {
      running += 1;
      expect(running).toBe(1);
      await new Promise(setImmediate);
      running -= 1;
      if (fails) throw new Error('failed');
      return 'done';
    };
    const results = await Promise.allSettled([queue.run('a', work(true)), queue.run('b', work(false))]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(await queue.run('a', work(false))).toBe('done');
  });

  it('is idle when all has been done, also what came while somebody waited for it', async () => {
    const { queue, begun, add, step } = manual();
    await queue.idle();
    const first = add('a', 'a0').then(() => add('a', 'a1'));
    let isIdle = false;
    const idle = queue.idle().then(() => {
      isIdle = true;
    });
    await step();
    expect([begun, isIdle]).toEqual([['a0', 'a1'], false]);
    await step();
    await Promise.all([first, idle]);
    expect(isIdle).toBe(true);
  });
});
