import type { ServerDuplexStream } from '@grpc/grpc-js';

/** The requests of a stream; the next is read when the loop comes back. The stream outlives the loop: a refusal still has to be sent on it. */
export function requestsOf<I, O>(stream: ServerDuplexStream<I, O>): AsyncIterable<I> {
  return stream.iterator({ destroyOnReturn: false });
}

/** Sends an answer; done when the transport has taken it, so that who does not read is not written to. */
export function send<I, O>(stream: ServerDuplexStream<I, O>, answer: O): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(answer, (error: Error | null | undefined) => (error ? reject(error) : resolve()));
  });
}
