import {
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { onTestFinished } from 'vitest';
import { type Address, formatAddress } from '../../src/inference/address.js';
import type { ApplyResponse } from '../../src/inference/gen/zklora_pb.js';
import { channelOptions, contributorMethods } from '../../src/inference/grpcMethods.js';

/** What the relay makes of an answer to `apply`: another answer, or silence. */
export type Tamper = (answer: ApplyResponse) => ApplyResponse | undefined;

/**
 * A server in front of a contributor's: everything passes, but the answers to stages go through `tamper`. To the user it
 * is that contributor, who holds the right key and lies.
 */
export async function relay(target: Address, tamper: Tamper): Promise<Address> {
  const client = new Client(formatAddress(target), credentials.createInsecure(), channelOptions);
  const handlers: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(contributorMethods))
    handlers[name] = handler(client, method as MethodDefinition<unknown, unknown>, tamper);
  const server = new Server(channelOptions);
  server.addService(contributorMethods, handlers);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  onTestFinished(() => {
    server.forceShutdown();
    client.close();
  });
  return { host: '127.0.0.1', port };
}

function handler<I, O>(
  client: Client,
  { path, requestSerialize, responseDeserialize, requestStream, responseStream }: MethodDefinition<I, O>,
  tamper: Tamper,
) {
  if (requestStream) {
    return (incoming: ServerDuplexStream<I, O>) => {
      const outgoing = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      incoming.on('data', (message: I) => outgoing.write(message));
      incoming.on('end', () => outgoing.end());
      incoming.on('cancelled', () => outgoing.cancel());
      outgoing.on('data', (answer: O) => {
        const told = tamper(answer as unknown as ApplyResponse);
        if (told !== undefined) incoming.write(told as unknown as O);
      });
      outgoing.on('error', (error) => incoming.emit('error', error));
      outgoing.on('end', () => incoming.end());
    };
  }
  if (responseStream) {
    return (incoming: ServerWritableStream<I, O>) => {
      const outgoing = client.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        incoming.request,
      );
      outgoing.on('data', (answer: O) => incoming.write(answer));
      outgoing.on('error', (error) => incoming.emit('error', error));
      outgoing.on('end', () => incoming.end());
    };
  }
  return (call: ServerUnaryCall<I, O>, done: sendUnaryData<O>) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, call.request, new Metadata(), done);
  };
}
