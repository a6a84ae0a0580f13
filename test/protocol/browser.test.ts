import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const SOURCE = join(import.meta.dirname, '../../src');

/** Modules that a file loads when it runs: type-only imports are not among them. */
function loads(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const statements = text.matchAll(/^(?:import|export)\s+(?!type\b)(?:[^;]*?\sfrom\s+)?'([^']+)';/gms);
  return [...statements].map(([, specifier]) => specifier!);
}

/** All modules that a file loads, with those that they load. */
function closure(file: string, seen = new Map<string, string[]>()): Map<string, string[]> {
  if (seen.has(file)) return seen;
  const specifiers = loads(file);
  seen.set(file, specifiers);
  for (const specifier of specifiers) {
    if (specifier.startsWith('.')) closure(join(dirname(file), specifier.replace(/\.js$/, '.ts')), seen);
  }
  return seen;
}

describe('the verifier', () => {
  it('loads no Node module, no prover, no ONNX and no gRPC: it runs in a browser, too', () => {
    const files = closure(join(SOURCE, 'protocol/verify.ts'));
    expect(files.size).toBeGreaterThan(30);
    expect([...files.keys()].map((file) => file.slice(SOURCE.length + 1))).not.toContain('protocol/prove.ts');
    const others = [...new Set([...files.values()].flat().filter((specifier) => !specifier.startsWith('.')))];
    expect(others.filter((specifier) => /^(node:|onnx|@grpc)/.test(specifier))).toEqual([]);
    expect(others).toContain('ffjavascript');
  });

  it('is read as it is written here', () => {
    expect(loads(join(SOURCE, 'protocol/verify.ts'))).toContain('./foldSession.js');
    expect(loads(join(SOURCE, 'folderLock.ts')).some((specifier) => specifier.startsWith('node:'))).toBe(
      true,
    );
  });
});
