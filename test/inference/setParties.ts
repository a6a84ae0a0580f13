import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { onTestFinished } from 'vitest';
import type { FloatModule } from '../../src/adapter/peft.js';
import { quantizeModule } from '../../src/adapter/quantize.js';
import { type BaseModel, openBaseModel } from '../../src/inference/baseModel.js';
import { connectContributor, type Timeouts } from '../../src/inference/client.js';
import { unionModules } from '../../src/inference/contributorView.js';
import { ApplyResponseSchema } from '../../src/inference/gen/zklora_pb.js';
import type { SetMember } from '../../src/inference/setMember.js';
import { temporaryFolder } from './fixtures.js';
import { commitTo, type Served, serve } from './parties.js';
import { relay, type Tamper } from './relay.js';

/** Several contributors on one base model, each with a server of its own. */

export interface Part {
  readonly name: string;
  readonly modules: readonly FloatModule[];
  readonly weight?: number;
  readonly tamper?: Tamper;
  readonly timeouts?: Partial<Timeouts>;
}

export interface Parties {
  readonly dir: string;
  readonly model: BaseModel;
  readonly members: readonly SetMember[];
  readonly served: readonly Served[];
}

/** A base model and a server for each contributor. */
export async function partiesOf(modelPath: string, parts: readonly Part[]): Promise<Parties> {
  const dir = await temporaryFolder();
  const model = await openBaseModel(modelPath, unionModules(parts.map(({ modules }) => modules)));
  onTestFinished(() => model.close());
  const members: SetMember[] = [];
  const served: Served[] = [];
  for (const { name, modules: floats, weight = 1, tamper, timeouts } of parts) {
    const modules = floats.map(quantizeModule);
    const home = join(dir, `home of ${name}`);
    // adapters differ by their salt
    const commitment = {
      ...commitTo(modules, model.digest),
      salt: Buffer.from(name.padEnd(32)).toString('hex'),
    };
    const serving = await serve({ dir: home, modules, commitment });
    served.push(serving);
    const connect = async () => {
      const address = tamper ? await relay(serving.server.address, tamper) : serving.server.address;
      const client = await connectContributor({ address, ...(timeouts && { timeouts }) });
      onTestFinished(() => client.close());
      return client;
    };
    members.push({ name, commitment, weight, dir: join(dir, 'user', name), connect });
  }
  return { dir, model, members, served };
}

/** Changes the answer to one stage. */
export function at(call: number, stage: number, change: Tamper): Tamper {
  return (answer) => (answer.call === call && answer.stage === stage ? change(answer) : answer);
}

/** Numbers that no adapter gives. */
export const inflated: Tamper = (answer) =>
  create(ApplyResponseSchema, {
    call: answer.call,
    stage: answer.stage,
    deltas: answer.deltas.map(({ module, values }) => ({
      module,
      values: new Uint8Array(values.length).fill(0x7f),
    })),
  });
