import type { statfs } from 'node:fs/promises';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { callBytes } from '../../src/inference/callSizes.js';
import { DiskFloor } from '../../src/inference/diskFloor.js';
import { MIN_FREE_FILES } from '../../src/inference/limits.js';
import { contributor, opened, refusal, stageOf } from './contributor.js';
import { INPUTS, MODULES } from './parties.js';

const FLOOR = 1000;

/** What the file system says. */
const disk = vi.hoisted(() => ({ blocks: 1, bavail: 0, bsize: 1, files: 0, ffree: 0, fails: false }));

vi.mock('node:fs/promises', async (original) => ({
  ...(await original<{ statfs: typeof statfs }>()),
  statfs: async () => {
    if (disk.fails) throw new Error('ENOSYS');
    return disk;
  },
}));

beforeEach(() => {
  Object.assign(disk, { blocks: 1, bavail: 0, bsize: 1, files: 0, ffree: 0, fails: false });
});

describe('the floor of a disk', () => {
  const full = refusal(/disk is full/, 'LIMIT_REACHED');

  it('is kept to the byte', async () => {
    const floor = new DiskFloor('.', FLOOR);
    disk.bsize = 2;
    disk.bavail = (FLOOR + 10) / 2;
    expect(await floor.room()).toBe(10);
    disk.bavail = FLOOR / 2;
    await floor.require();
    disk.bavail -= 1;
    await expect(floor.require()).rejects.toEqual(full);
  });

  it('keeps nobody out where the file system does not tell', async () => {
    const floor = new DiskFloor('.', FLOOR);
    await expect(floor.require()).rejects.toEqual(full);
    disk.blocks = 0;
    await floor.require();
    Object.assign(disk, { blocks: 1, fails: true });
    await floor.require();
  });

  it('is of files, too, where the file system counts them', async () => {
    const floor = new DiskFloor('.', FLOOR);
    Object.assign(disk, { bavail: 2 * FLOOR, files: 2 ** 20, ffree: MIN_FREE_FILES });
    await floor.require();
    disk.ffree -= 1;
    await expect(floor.require()).rejects.toEqual(full);
    disk.files = 0;
    await floor.require();
  });

  it('is kept by all calls under way together', async () => {
    const { sessions } = await contributor({ minFreeBytes: FLOOR });
    disk.bavail = FLOOR + callBytes({ inputs: INPUTS }, MODULES, 2) + 1;
    const first = await opened(sessions);
    const second = await opened(sessions);
    await sessions.apply(first, stageOf(0, 0, 1));
    await expect(sessions.apply(second, stageOf(0, 0, 2))).rejects.toEqual(full);
    await sessions.apply(first, stageOf(0, 1, 1));
    await sessions.apply(second, stageOf(0, 0, 2));
  });

  it('is not passed by calls that begin at once', async () => {
    const { sessions } = await contributor({ minFreeBytes: FLOOR });
    disk.bavail = FLOOR + callBytes({ inputs: INPUTS }, MODULES, 2) + 1;
    const ids = [await opened(sessions), await opened(sessions)];
    const begun = await Promise.allSettled(ids.map((id) => sessions.apply(id, stageOf(0, 0, 1))));
    expect(begun.filter(({ status }) => status === 'fulfilled').length).toBeLessThan(2);
    // what was refused holds nothing
    disk.bavail = 2 * disk.bavail;
    for (const id of ids) await sessions.apply(id, stageOf(0, 0, 1));
  });
});
