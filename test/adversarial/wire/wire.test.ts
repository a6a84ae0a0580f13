import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runCampaign } from './campaign.js';

/** Of `npm run fuzz:wire`; without them, a short run that is the same each time. */
const { ZKLORA_WIRE_SEED, ZKLORA_WIRE_MINUTES, ZKLORA_WIRE_RESULT } = process.env;
const minutes = Number(ZKLORA_WIRE_MINUTES ?? 0);
const SHORT_RUN = 50;

it(
  'a contributor under attack stays up, answers honest sessions rightly and tells nothing',
  async () => {
    const sessionsDir = await mkdtemp(join(tmpdir(), 'zklora-wire-'));
    const end = Date.now() + minutes * 60_000;
    try {
      const result = await runCampaign({
        seed: Number(ZKLORA_WIRE_SEED ?? 1),
        isOver: (attacks) => attacks >= SHORT_RUN && Date.now() >= end,
        sessionsDir,
      });
      expect(result.honestCalls).toBeGreaterThan(2);
      expect(result.checkedAnswers).toBeGreaterThan(0);
      if (ZKLORA_WIRE_RESULT) await appendFile(ZKLORA_WIRE_RESULT, JSON.stringify(result));
    } finally {
      await rm(sessionsDir, { recursive: true, force: true });
    }
  },
  minutes * 60_000 + 120_000,
);
