import { hkdfSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { deriveBlinder, moduleBlinders } from '../../src/adapter/blinders.js';
import { R } from '../../src/algebra/index.js';

const secret = new Uint8Array(32).fill(7);
const salt = new Uint8Array(32).fill(9);

describe('deriveBlinder', () => {
  it('is HKDF-SHA256 with the documented info, reduced modulo the scalar order', () => {
    const info = Buffer.concat([
      Buffer.from('zklora/blinder/v1'),
      Buffer.from([0, 0, 0, 8]),
      Buffer.from('h.0.attn'),
      Buffer.from('B'),
      Buffer.from([0, 0, 1, 2]),
    ]);
    const wide = Buffer.from(hkdfSync('sha256', secret, salt, info, 64)).toString('hex');
    expect(deriveBlinder(secret, salt, 'h.0.attn', 'B', 258)).toBe(BigInt(`0x${wide}`) % R);
  });

  it('never changes', () => {
    expect(deriveBlinder(secret, salt, 'h.0.attn', 'A', 0).toString(16)).toBe(
      '27de61d9ffd8047659843b51b15a59e055a8c2bb7e5f0b09c160c99360f7ff12',
    );
  });

  it('differs for every secret, salt, module, matrix and row', () => {
    const other = new Uint8Array(32).fill(8);
    const blinders = [
      deriveBlinder(secret, salt, 'm', 'A', 0),
      deriveBlinder(other, salt, 'm', 'A', 0),
      deriveBlinder(secret, other, 'm', 'A', 0),
      deriveBlinder(secret, salt, 'mA', 'A', 0),
      deriveBlinder(secret, salt, 'm', 'B', 0),
      deriveBlinder(secret, salt, 'm', 'A', 1),
      deriveBlinder(secret, salt, 'm', 'A', 256),
    ];
    expect(new Set(blinders).size).toBe(blinders.length);
    for (const blinder of blinders) expect(blinder > 0n && blinder < R).toBe(true);
  });

  it('gives a module its rows in order', () => {
    const { a, b } = moduleBlinders(secret, salt, { name: 'm', rank: 3 });
    expect(a).toEqual([0, 1, 2].map((row) => deriveBlinder(secret, salt, 'm', 'A', row)));
    expect(b).toEqual([0, 1, 2].map((row) => deriveBlinder(secret, salt, 'm', 'B', row)));
  });
});
