import { open } from 'node:fs/promises';

/** Kills this process with SIGKILL right before or after a flush to disk, whatever file it is of. */
export async function killAtFlush(killAt) {
  const [when, number] = killAt.split(':');
  const handle = await open('/dev/null');
  const prototype = Object.getPrototypeOf(handle);
  await handle.close();
  const { sync } = prototype;
  let left = Number(number);
  prototype.sync = async function () {
    left -= 1;
    if (left === 0 && when === 'before') process.kill(process.pid, 'SIGKILL');
    await sync.call(this);
    if (left === 0) process.kill(process.pid, 'SIGKILL');
  };
}
