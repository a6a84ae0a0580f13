// Adds the same 40 envelopes to a store as another process does at the same time.
import { addToStore, parseEnvelope } from '../../dist/src/checkpoint/index.js';

const [folder, ...texts] = process.argv.slice(2);
let added = 0;
for (const text of texts) {
  if ((await addToStore(folder, parseEnvelope(new TextEncoder().encode(text)))).added) added += 1;
}
process.stdout.write(String(added));
