import { create } from '@bufbuild/protobuf';
import { type ServerUnaryCall, type ServerWritableStream, type sendUnaryData, status } from '@grpc/grpc-js';
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from './gen/grpc/health/v1/health_pb.js';
import { Contributor } from './gen/zklora_pb.js';
import { MAX_HEALTH_WATCHERS } from './limits.js';
import { refusal, toWireError } from './refusal.js';

const { NOT_SERVING, SERVICE_UNKNOWN, SERVING } = HealthCheckResponse_ServingStatus;

/** Services that are asked about: the whole server, and the one of proto/zklora.proto. */
const KNOWN: ReadonlySet<string> = new Set(['', Contributor.typeName]);

type Watcher = ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;

/**
 * The standard health service: SERVING until {@link end}. Anybody may watch, so that the watchers have few places, of which the
 * latest comers take those of the first.
 */
export class HealthService {
  private isServing = true;
  private readonly watchers = new Set<Watcher>();

  readonly check = (
    { request }: ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>,
    done: sendUnaryData<HealthCheckResponse>,
  ): void => {
    if (KNOWN.has(request.service)) done(null, this.answer(request.service));
    else done({ code: status.NOT_FOUND, details: 'there is no such service here' });
  };

  readonly watch = (stream: Watcher): void => {
    const [oldest] = this.watchers;
    if (oldest !== undefined && this.watchers.size >= MAX_HEALTH_WATCHERS) {
      this.watchers.delete(oldest);
      oldest.emit(
        'error',
        toWireError(refusal('RESOURCE_EXHAUSTED', 'LIMIT_REACHED', 'others watch; watch again')),
      );
    }
    this.watchers.add(stream);
    stream.on('cancelled', () => this.watchers.delete(stream));
    stream.write(this.answer(stream.request.service));
    if (!this.isServing) stream.end();
  };

  /** Tells everybody NOT_SERVING, and ends the streams that watch. */
  end(): void {
    this.isServing = false;
    for (const stream of this.watchers) {
      stream.write(this.answer(stream.request.service));
      stream.end();
    }
    this.watchers.clear();
  }

  private answer(service: string): HealthCheckResponse {
    const current = this.isServing ? SERVING : NOT_SERVING;
    return create(HealthCheckResponseSchema, { status: KNOWN.has(service) ? current : SERVICE_UNKNOWN });
  }
}
