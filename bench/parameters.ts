/** The bench's development parameters: made once, kept outside the repository's history. */
import { loadEngine } from '../src/algebra/index.js';
import { makeDevelopmentParameters, openParameters } from '../src/circuit/index.js';
import { CIRCUITS } from './rows.js';

const MAX_DOMAIN = 32768;

/** Folder of the parameters, made if they are missing or made for another version (about 80 s). */
export async function benchParameters(dir: string): Promise<string> {
  const found = await openParameters(dir).catch(() => undefined);
  const complete =
    found?.set.domains.at(-1)?.size === MAX_DOMAIN && found.set.circuits.length === CIRCUITS.length;
  if (complete) return dir;
  process.stderr.write(`making development parameters in ${dir}\n`);
  await makeDevelopmentParameters({
    dir,
    maxDomain: MAX_DOMAIN,
    pairs: CIRCUITS,
    onProgress: (step) => process.stderr.write(`  ${step}\n`),
  });
  await (await loadEngine()).terminate();
  return dir;
}
