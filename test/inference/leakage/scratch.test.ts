import { it } from 'vitest';
import { quantizeActivations, quantizeModule } from '../../../src/adapter/quantize.js';
import { openBaseModel } from '../../../src/inference/baseModel.js';
import { floatDelta } from '../../../src/inference/localLora.js';
import { LeakageMeter } from '../../../src/inference/leakage/meter.js';
import { byteWindows } from '../../../src/inference/loss.js';
import { heldOutText, loadFixture } from '../fixtures.js';

it('measures', async () => {
  for (const name of ['gpt2-tiny', 'llama-tiny'] as const) {
    const f = await loadFixture(name);
    const mods = f.adapter.modules;
    const model = await openBaseModel(f.modelPath, mods);
    const q = mods.map(quantizeModule);
    console.log(name, mods.map((m) => `${m.name.split('.').slice(-2).join('.')} n=${m.inFeatures} r=${m.rank} k=${m.outFeatures}`).slice(0, 8).join('; '), model.inputs.length);
    const meter = new LeakageMeter(q);
    const w = byteWindows(await heldOutText(), 96, 4);
    let n = 0;
    let t0 = 0;
    for (let c = 0; c < 4; c += 1) {
      for (const part of [c]) {
        const ids = w.ids.slice(part * 96, part * 96 + 96);
        const stages: any[] = [];
        await model.forward(ids, 1, 96, async (_s, inputs) => {
          const deltas = new Map<number, Float32Array>();
          for (const { input, tokens, values } of inputs) {
            stages.push({ modules: model.inputs[input]!, tokens, x: quantizeActivations(values, tokens, mods[model.inputs[input]![0]!]!.inFeatures).x });
            for (const m of model.inputs[input]!) deltas.set(m, floatDelta(mods[m]!, values, tokens));
          }
          return deltas;
        });
        for (let k = 0; k < 96; k += 8) {
          const t = performance.now();
          await meter.add('u', stages.map((s) => { const f2 = s.x.length / s.tokens; return { modules: s.modules, tokens: 8, x: s.x.slice(k * f2, (k + 8) * f2) }; }));
          t0 += performance.now() - t;
          n += 8;
          const r = q.map((_, i) => meter.revealed(i));
          if (n <= 64 || n % 48 === 0) console.log(name, n, t0.toFixed(0), 'ms', q.map((m, i) => `${m.inFeatures}:${r[i]!.measured.toFixed(2)}/${(r[i]!.directions / m.inFeatures).toFixed(2)}`).slice(0, 8).join(' '));
        }
      }
    }
    await model.close();
  }
}, 100000);
