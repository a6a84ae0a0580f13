// A user in a process of its own, for tests that kill it: three passes of a small model, then the close and the proof,
// from where its record stands. Arguments: port, folder of the record, adapter folder, base digest, optionally
// `before:N` or `after:N` as in contributorProcess.mjs. Prints the sums of what came back as JSON.
import { parseAdapterCommitment } from '../../dist/src/adapter/commitment.js';
import { connectContributor } from '../../dist/src/inference/client.js';
import { openAdapterSession } from '../../dist/src/inference/recordedSession.js';
import { replayPass } from '../../dist/src/inference/replayCall.js';
import { killAtFlush } from './killAtFlush.mjs';

const [port, dir, calls, killAt] = process.argv.slice(2);
const client = await connectContributor({ address: { host: '127.0.0.1', port: Number(port) } });
const commitment = parseAdapterCommitment(await client.describe());
const { modules } = commitment;
const inputs = modules.map((_, i) => [i]);
const model = { digest: commitment.baseDigest, modules, inputs, stages: inputs.map((_, i) => [i]) };
if (killAt !== undefined) await killAtFlush(killAt);
const session = await openAdapterSession({ model, client, commitment, dir, resume: true });
const known = session.record.callCount;
const sums = [];
for (let call = 0; call < Number(calls); call += 1) {
  const apply = call < known ? replayPass(model, commitment, session.record, call) : session.pass();
  let carried = call + 1;
  for (const [stage, { inFeatures }] of modules.entries()) {
    const values = Float32Array.from({ length: 2 * inFeatures }, (_, i) => Math.sin(i * carried));
    const deltas = await apply(stage, [{ input: stage, tokens: 2, values }]);
    // Each stage depends on the one before, as in a model.
    carried = deltas.get(stage).reduce((sum, value) => sum + value, 1);
  }
  sums.push(carried);
}
await session.close();
const proof = await session.prove();
process.stdout.write(`${JSON.stringify({ sums, proof: proof.length })}\n`);
client.close();
