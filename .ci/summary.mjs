// Prints vitest's counts, and as the last line `N passed, N failed`, where a failed step other than the tests counts
// as one failure. Arguments: vitest's JSON report, names of failed steps.
import { readFileSync } from 'node:fs';

const [report, ...failedSteps] = process.argv.slice(2);
let passed = 0;
let failed = 0;
try {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
    readFileSync(report, 'utf8'),
  );
  passed = numPassedTests;
  failed = numFailedTests;
  // a file that does not even load has failed without any test of its own
  failed += testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && assertionResults.every((test) => test.status !== 'failed'),
  ).length;
  const skipped = numPendingTests + numTodoTests;
  process.stdout.write(
    `tests: ${numPassedTests} passed, ${numFailedTests} failed, ${skipped} skipped in ${testResults.length} files\n`,
  );
} catch {
  process.stdout.write('tests: no report\n');
}
for (const step of failedSteps) {
  process.stdout.write(`failed step: ${step}\n`);
  // the tests' own failures are counted above
  if (step !== 'npm test' || failed === 0) failed += 1;
}
if (passed === 0 && failed === 0) failed = 1;
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
