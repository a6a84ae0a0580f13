import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import type { ChannelOptions, MethodDefinition } from '@grpc/grpc-js';
import { Health } from './gen/grpc/health/v1/health_pb.js';
import { ServerReflection } from './gen/grpc/reflection/v1/reflection_pb.js';
import { Contributor } from './gen/zklora_pb.js';
import {
  ANSWER_WINDOW_BYTES,
  CONNECTION_IDLE_MS,
  FLOW_WINDOW_BYTES,
  KEEPALIVE_MS,
  KEEPALIVE_TIMEOUT_MS,
  MAX_CONNECTION_MEGABYTES,
  MAX_MESSAGE_BYTES,
  MAX_OPEN_CALLS,
} from './limits.js';
import { messageBytes } from './messageBytes.js';
import { readMessage } from './readMessage.js';

/** A method description for grpc-js, made from the generated types. */
interface RpcMethod<I extends DescMessage, O extends DescMessage> {
  readonly name: string;
  readonly methodKind: string;
  readonly input: I;
  readonly output: O;
}

/** @param service its full name */
function definition<I extends DescMessage, O extends DescMessage>(
  method: RpcMethod<I, O>,
  service: string = Contributor.typeName,
): MethodDefinition<MessageShape<I>, MessageShape<O>> {
  const bidirectional = method.methodKind === 'bidi_streaming';
  return {
    path: `/${service}/${method.name}`,
    requestStream: bidirectional || method.methodKind === 'client_streaming',
    responseStream: bidirectional || method.methodKind === 'server_streaming',
    requestSerialize: (message) => messageBytes(method.input, message),
    requestDeserialize: (bytes) => readMessage(method.input, bytes),
    responseSerialize: (message) => messageBytes(method.output, message),
    responseDeserialize: (bytes) => readMessage(method.output, bytes),
  };
}

/** The service of proto/zklora.proto for grpc-js. */
export const contributorMethods = {
  describe: definition(Contributor.method.describe),
  openSession: definition(Contributor.method.openSession),
  apply: definition(Contributor.method.apply),
  closeSession: definition(Contributor.method.closeSession),
  prove: definition(Contributor.method.prove),
  resumeSession: definition(Contributor.method.resumeSession),
  startProof: definition(Contributor.method.startProof),
  proofStatus: definition(Contributor.method.proofStatus),
  cancelProof: definition(Contributor.method.cancelProof),
};

/** Whether the service answers (proto/grpc/health/v1/health.proto). */
export const healthMethods = {
  check: definition(Health.method.check, Health.typeName),
  watch: definition(Health.method.watch, Health.typeName),
};

/** What the service consists of (proto/grpc/reflection/v1/reflection.proto). */
export const reflectionMethods = {
  serverReflectionInfo: definition(ServerReflection.method.serverReflectionInfo, ServerReflection.typeName),
};

/** Options of both ends. Connections are direct: a proxy from the environment would see plain text. */
const commonOptions: ChannelOptions = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  // Half-open connections end, with a stream under way.
  'grpc.keepalive_time_ms': KEEPALIVE_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  'grpc.enable_http_proxy': 0,
  // A repeated request would be a second question; the caller decides.
  'grpc.enable_retries': 0,
  'grpc.use_local_subchannel_pool': 1,
};

/** Options of a user. */
export const channelOptions: ChannelOptions = {
  ...commonOptions,
  'grpc-node.flow_control_window': ANSWER_WINDOW_BYTES,
};

/** Options of the service. */
export const serverOptions: ChannelOptions = {
  ...commonOptions,
  'grpc-node.flow_control_window': FLOW_WINDOW_BYTES,
  'grpc.max_concurrent_streams': MAX_OPEN_CALLS,
  'grpc.max_connection_idle_ms': CONNECTION_IDLE_MS,
  'grpc-node.max_session_memory': MAX_CONNECTION_MEGABYTES,
  // It would keep a record of every connection.
  'grpc.enable_channelz': 0,
};
