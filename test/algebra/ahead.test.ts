import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ahead,
  type Engine,
  foldPoints,
  g1Generator,
  joinPoints,
  loadEngine,
  multiScalarMultiply,
  powersVector,
} from '../../src/algebra/index.js';

let engine: Engine;
beforeAll(async () => {
  engine = await loadEngine();
});
afterAll(() => engine.terminate());

const bases = (count: number) => joinPoints(Array.from({ length: count }, () => g1Generator(engine)));

describe('ahead', () => {
  it('puts the tasks of a computation before those that wait, as foldPoints does with its own', async () => {
    const order: string[] = [];
    const noted = (name: string, work: Promise<unknown>) => work.then(() => order.push(name));
    const multiply = () => multiScalarMultiply(engine, bases(64), powersVector(engine, 7n, 64));
    // more than the workers can take at once, so that the last of them waits
    const waiting = Array.from({ length: 16 * engine.threads }, (_, i) => noted(`${i}`, multiply()));
    const first = noted('first', ahead(engine, multiply));
    const second = noted('second', foldPoints(engine, bases(64), [2n, 3n]));
    await Promise.all([...waiting, first, second]);
    const last = `${16 * engine.threads - 1}`;
    expect(order.indexOf('first')).toBeLessThan(order.indexOf(last));
    expect(order.indexOf('second')).toBeLessThan(order.indexOf(last));
  });

  it('changes no result and passes errors on', async () => {
    const scalars = powersVector(engine, 11n, 64);
    const work = () => multiScalarMultiply(engine, bases(64), scalars);
    expect(await ahead(engine, work)).toEqual(await work());
    await expect(ahead(engine, () => Promise.reject(new Error('other')))).rejects.toThrow('other');
  });
});
