import { randomBytes } from 'node:crypto';
import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { ZkLoraError } from './errors.js';
import { ensureFolder, readFileBounded, writeFileAtomic } from './files.js';
import { parseJsonText } from './jsonText.js';

/** Holds a small file for each process that uses the folder around it. */
export const LOCK_FOLDER = '.lock';

/** Six short fields. */
const MAX_LOCK_BYTES = 4096;
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
/** The pid namespace outside of all containers; the number is the kernel's, the same after each boot. */
const INITIAL_NAMESPACE = 'pid:[4026531836]';
const LOCK_FILE = /^[0-9a-f]{32}\.json$/;

const text = z.string().max(256);
const holderSchema = z.strictObject({
  host: text,
  /** Name of the Linux pid namespace; empty elsewhere, as the two below. */
  namespace: text,
  boot: text,
  /** Identity of the machine that outlives a reboot; empty where there is none, absent in older locks. */
  machine: text.optional(),
  pid: z.number().int().positive(),
  /** Start of the process in clock ticks since the boot. */
  started: text,
});

type Holder = z.infer<typeof holderSchema>;

/** A folder that this process alone uses, among all that ask. */
export interface FolderLock {
  release(): Promise<void>;
}

/**
 * Takes a folder for this process. The lock of a process that was killed is void: it names the process by id and start
 * time. Each taker writes a file of its own name first and looks at the others' afterwards, so that of two takers at
 * least one sees the other; both may give way. Processes on other hosts or in other pid namespaces cannot be looked
 * at and count as alive, as do those of another boot, unless it was one of this machine.
 *
 * @throws ZkLoraError `FOLDER_IN_USE`, `FILE_UNWRITABLE`
 */
export async function lockFolder(dir: string): Promise<FolderLock> {
  const locks = join(dir, LOCK_FOLDER);
  await ensureFolder(locks, { mode: FOLDER_MODE });
  const own = `${randomBytes(16).toString('hex')}.json`;
  const self = await thisProcess();
  await writeFileAtomic(join(locks, own), `${JSON.stringify(self)}\n`, { mode: FILE_MODE });
  const release = (): Promise<void> => rm(join(locks, own), { force: true });
  try {
    for (const name of await readdir(locks)) {
      if (name === own || !LOCK_FILE.test(name)) continue;
      const path = join(locks, name);
      const holder = await readHolder(path);
      if (holder === undefined) continue;
      if (await mayBeAlive(holder, self)) throw inUse(dir, path, holder);
      await rm(path, { force: true });
    }
    return { release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** Undefined for a lock that has been released meanwhile. */
async function readHolder(path: string): Promise<Holder | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFileBounded(path, MAX_LOCK_BYTES, 'lock');
  } catch (error) {
    if (error instanceof ZkLoraError && error.code === 'FILE_NOT_FOUND') return undefined;
    throw error;
  }
  const json = parseJsonText(new TextDecoder().decode(bytes), 'FILE_UNREADABLE', path);
  const holder = holderSchema.safeParse(json);
  if (holder.success) return holder.data;
  throw new ZkLoraError(
    'FILE_UNREADABLE',
    `${path} is no lock of this version; remove it if nobody uses the folder`,
  );
}

async function thisProcess(): Promise<Holder> {
  return {
    host: hostname(),
    namespace: await readlink('/proc/self/ns/pid').catch(() => ''),
    boot: (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim(),
    machine: (await readFile('/etc/machine-id', 'utf8').catch(() => '')).trim(),
    pid: process.pid,
    started: (await startOf(process.pid)) ?? '',
  };
}

/** Whether the holder of a lock may be running; in doubt it is. Fields are as in lock files. */
export async function mayBeAlive(holder: Holder, self: Holder): Promise<boolean> {
  // A container may run beside this one under the same host name.
  if (holder.host !== self.host || holder.namespace !== self.namespace) return true;
  if (holder.boot !== self.boot) return !isReboot(holder, self);
  if (self.started !== '') return (await startOf(holder.pid)) === holder.started;
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Two machines may share a host name; those in containers may share the image's machine-id as well. */
function isReboot(holder: Holder, self: Holder): boolean {
  if (self.boot === '' || holder.boot === '' || self.machine === '') return false;
  return holder.machine === self.machine && self.namespace === INITIAL_NAMESPACE;
}

/** Start time of a running process, from /proc; undefined where there is none. */
async function startOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is a name in parentheses and may hold anything; the third is the state, the 22nd the start.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const isGone = fields[0] === 'Z' || fields[0] === 'X';
  return isGone ? undefined : fields[19];
}

function inUse(dir: string, path: string, { host, pid }: Holder): ZkLoraError {
  return new ZkLoraError(
    'FOLDER_IN_USE',
    `${dir} is used by process ${pid} on ${host}; stop it, or remove ${path} if that process is gone`,
    { details: { path: dir, pid } },
  );
}
