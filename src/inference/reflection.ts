import { create, type DescFile, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import { file_grpc_health_v1_health } from './gen/grpc/health/v1/health_pb.js';
import {
  file_grpc_reflection_v1_reflection,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from './gen/grpc/reflection/v1/reflection_pb.js';
import { file_zklora } from './gen/zklora_pb.js';
import { requestsOf, send } from './lockStep.js';
import { toWireError } from './refusal.js';

/** All that the server offers; none of the files imports another. */
const FILES: readonly DescFile[] = [
  file_zklora,
  file_grpc_health_v1_health,
  file_grpc_reflection_v1_reflection,
];

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>['messageResponse']>;

/** The standard reflection service: clients in other languages learn messages and methods from it. */
export async function reflect(
  stream: ServerDuplexStream<ServerReflectionRequest, ServerReflectionResponse>,
): Promise<void> {
  try {
    for await (const request of requestsOf(stream)) {
      const messageResponse = answer(request);
      const response = { validHost: request.host, originalRequest: request, messageResponse };
      await send(stream, create(ServerReflectionResponseSchema, response));
    }
    stream.end();
  } catch (error) {
    if (!stream.cancelled) stream.emit('error', toWireError(error));
  }
}

function answer({ messageRequest: { case: kind, value } }: ServerReflectionRequest): Answer {
  switch (kind) {
    case 'listServices': {
      const service = FILES.flatMap(({ services }) => services.map(({ typeName }) => ({ name: typeName })));
      return { case: 'listServicesResponse', value: { service } };
    }
    case 'fileByFilename':
      return described(FILES.find(({ proto }) => proto.name === value));
    case 'fileContainingSymbol':
      return described(FILES.find((file) => symbolsOf(file).includes(value)));
    case 'allExtensionNumbersOfType':
      return FILES.some(({ messages }) => messages.some(({ typeName }) => typeName === value))
        ? { case: 'allExtensionNumbersResponse', value: { baseTypeName: value, extensionNumber: [] } }
        : described(undefined);
    default:
      return described(undefined);
  }
}

function described(file: DescFile | undefined): Answer {
  if (file === undefined) {
    return {
      case: 'errorResponse',
      value: { errorCode: status.NOT_FOUND, errorMessage: 'there is no such name here' },
    };
  }
  return {
    case: 'fileDescriptorResponse',
    value: { fileDescriptorProto: [toBinary(FileDescriptorProtoSchema, file.proto)] },
  };
}

/** Full names of what a file defines. */
function symbolsOf({ messages, enums, services }: DescFile): string[] {
  return [
    ...messages.flatMap(symbolsIn),
    ...enums.map(({ typeName }) => typeName),
    ...services.flatMap(({ typeName, methods }) => [
      typeName,
      ...methods.map(({ name }) => `${typeName}.${name}`),
    ]),
  ];
}

function symbolsIn(message: DescMessage): string[] {
  return [
    message.typeName,
    ...message.fields.map(({ name }) => `${message.typeName}.${name}`),
    ...message.nestedMessages.flatMap(symbolsIn),
    ...message.nestedEnums.map(({ typeName }) => typeName),
  ];
}
