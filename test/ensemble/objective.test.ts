import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gaussianNoise } from '../../src/ensemble/noise.js';
import { cleanValue, ddpmTime, expertInput, guided } from '../../src/ensemble/objective.js';
import { stepTimes } from '../../src/ensemble/sampler.js';

const schedule = { offset: 0.01, span: 0.98 };
const file = { file: 'm.onnx', sha256: '00'.repeat(32) };
const ddpm = { ...file, objective: 'ddpm' as const, schedule };
const flow = { ...file, objective: 'flow-matching' as const, schedule: null };
const times = fc.double({ min: 0.02, max: 0.98, noNaN: true });
const values = fc.double({ min: -1, max: 1, noNaN: true });
const normals = fc.double({ min: -4, max: 4, noNaN: true });

describe('one representation', () => {
  it('asks a DDPM expert at the time of equal signal-to-noise ratio', () => {
    fc.assert(
      fc.property(times, values, normals, (t, x0, noise) => {
        const { scale, time } = expertInput(ddpm, t);
        const angle = (Math.PI / 2) * (schedule.offset + schedule.span * time);
        // what the expert was trained on: alpha x0 + sigma noise
        const trained = Math.cos(angle) * x0 + Math.sin(angle) * noise;
        expect(scale * ((1 - t) * x0 + t * noise)).toBeCloseTo(trained, 6);
      }),
      { seed: 7 },
    );
  });

  it('clips the DDPM time at its ends', () => {
    expect(ddpmTime(0.001, schedule)).toBe(0);
    expect(ddpmTime(0.9999, schedule)).toBe(1);
  });

  it('gives x0 back from perfect answers of either objective', () => {
    fc.assert(
      fc.property(times, values, normals, (t, x0, noise) => {
        const x = (1 - t) * x0 + t * noise;
        expect(cleanValue('ddpm', x, noise, t)).toBeCloseTo(x0, 6);
        expect(cleanValue('flow-matching', x, noise - x0, t)).toBeCloseTo(x0, 6);
      }),
      { seed: 8 },
    );
  });

  it('asks a flow-matching expert for the sample as it is', () => {
    expect(expertInput(flow, 0.3)).toEqual({ scale: 1, time: 0.3 });
  });

  it('clips x0', () => {
    expect(cleanValue('flow-matching', 0, 9, 0.5)).toBe(-1);
    expect(cleanValue('ddpm', 3, 0, 0.5)).toBe(1);
  });

  it('guides away from the answer without a condition', () => {
    expect(guided(2, 1, 1)).toBe(2);
    expect(guided(2, 1, 0)).toBe(1);
    expect(guided(2, 1, 3)).toBe(4);
  });
});

describe('stepTimes', () => {
  it('goes from 0.98 to 0.02 in equal steps', () => {
    const all = stepTimes(4);
    expect(all).toHaveLength(5);
    for (const [i, t] of [0.98, 0.74, 0.5, 0.26, 0.02].entries()) expect(all[i]).toBeCloseTo(t, 6);
  });
});

describe('gaussianNoise', () => {
  it('repeats, differs by seed, and has mean 0 and variance 1', () => {
    const noise = gaussianNoise(5, 20_001);
    expect(gaussianNoise(5, 20_001)).toEqual(noise);
    expect(gaussianNoise(5, 9)).toEqual(noise.slice(0, 9));
    expect(gaussianNoise(6, 9)).not.toEqual(noise.slice(0, 9));
    const mean = noise.reduce((a, b) => a + b, 0) / noise.length;
    const variance = noise.reduce((a, b) => a + (b - mean) ** 2, 0) / noise.length;
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(Math.abs(variance - 1)).toBeLessThan(0.03);
  });
});
