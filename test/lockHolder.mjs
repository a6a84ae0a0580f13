// Takes the lock of a folder and keeps it until it is killed. Argument: the folder. Prints `held`.
import { lockFolder } from '../dist/src/folderLock.js';

await lockFolder(process.argv[2]);
process.stdout.write('held\n');
setInterval(() => undefined, 60_000);
