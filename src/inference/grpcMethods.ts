import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import type { ChannelOptions, MethodDefinition } from '@grpc/grpc-js';
import { Contributor } from './gen/zklora_pb.js';
import { FLOW_WINDOW_BYTES, MAX_MESSAGE_BYTES } from './limits.js';
import { messageBytes } from './messageBytes.js';

/** A method description for grpc-js, made from the generated types. */
interface RpcMethod<I extends DescMessage, O extends DescMessage> {
  readonly name: string;
  readonly methodKind: string;
  readonly input: I;
  readonly output: O;
}

function definition<I extends DescMessage, O extends DescMessage>(
  method: RpcMethod<I, O>,
): MethodDefinition<MessageShape<I>, MessageShape<O>> {
  const bidirectional = method.methodKind === 'bidi_streaming';
  return {
    path: `/${Contributor.typeName}/${method.name}`,
    requestStream: bidirectional || method.methodKind === 'client_streaming',
    responseStream: bidirectional || method.methodKind === 'server_streaming',
    requestSerialize: (message) => messageBytes(method.input, message),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes),
    responseSerialize: (message) => messageBytes(method.output, message),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes),
  };
}

/** The service of proto/zklora.proto for grpc-js. */
export const contributorMethods = {
  describe: definition(Contributor.method.describe),
  openSession: definition(Contributor.method.openSession),
  apply: definition(Contributor.method.apply),
  closeSession: definition(Contributor.method.closeSession),
  prove: definition(Contributor.method.prove),
};

/** Options of both ends. Connections are direct: a proxy from the environment would see plain text. */
export const channelOptions: ChannelOptions = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  'grpc-node.flow_control_window': FLOW_WINDOW_BYTES,
  'grpc.enable_http_proxy': 0,
  // A repeated request would be a second question; the caller decides.
  'grpc.enable_retries': 0,
  'grpc.use_local_subchannel_pool': 1,
};
