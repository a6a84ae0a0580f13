import { setFlagsFromString } from 'node:v8';

/**
 * Has the garbage collector look through the whole heap of this process only once it has grown fourfold, V8's own largest
 * step. For a process that serves or evaluates: after some seconds without work V8 allows growth by a third only, and the
 * buffers of a stage or two, which are long dead, make it look through the whole heap again and again. Young buffers are
 * freed after 32 MB in either case, so that memory stays as it was.
 */
export function growHeapFreely(): void {
  setFlagsFromString('--heap-growing-percent=300');
}
