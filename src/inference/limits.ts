/** Named maxima of everything that is counted from outside in a session, each with its reason. */

/** One gRPC message: the deltas of a stage of 512 tokens with 16,384 outputs. Larger batches are split by the caller. */
export const MAX_MESSAGE_BYTES = 64 * 2 ** 20;

/**
 * Bytes of a stream or connection that may be under way without an answer. HTTP/2's own 64 KiB stop a message of a
 * stage several times; with more, a sender who is not read could make the other side hold so much more.
 */
export const FLOW_WINDOW_BYTES = 2 ** 20;

/** The same for a user, whose contributor's answers are larger than questions: most messages of a stage fit. */
export const ANSWER_WINDOW_BYTES = 8 * 2 ** 20;

/** Room in a message for field tags and lengths, per part. */
export const MESSAGE_OVERHEAD_BYTES = 64;

/** One call file of a session record; it is read and written whole. */
export const MAX_CALL_FILE_BYTES = 2 ** 30;

/**
 * Calls under way in all sessions of a contributor, activations and deltas together: two of the largest. Writing
 * one takes no more.
 */
export const MAX_PENDING_BYTES = 2 * MAX_CALL_FILE_BYTES;

/**
 * Weights that a contributor keeps a second time, in the order in which products read them: an adapter of this size takes as much
 * memory again. Of what is beyond, the order is made anew at each stage.
 */
export const MAX_ORDERED_WEIGHT_BYTES = 256 * 2 ** 20;

/** One tensor of a call file in its header: name, dtype, shape and offsets take at most 110 bytes. */
export const CALL_TENSOR_OVERHEAD_BYTES = 128;

/** answered.jsonl: 200 bytes for each stage, so about a million of them. */
export const MAX_ANSWERED_FILE_BYTES = 256 * 2 ** 20;

/** session.json: 4096 module indices and four hex strings need 30 KB. */
export const MAX_HEADER_FILE_BYTES = 256 * 1024;

/** session.secret: one hex string. */
export const MAX_SECRET_FILE_BYTES = 4096;

/** close.json: four hex strings. */
export const MAX_CLOSING_FILE_BYTES = 4096;

/** Sessions that a contributor holds open at a time; each may hold one unfinished call in memory. */
export const MAX_OPEN_SESSIONS = 64;

/** A session without a request for so long is given up, in milliseconds: an hour, far above one forward pass. */
export const SESSION_IDLE_MS = 3_600_000;

/** When all places are taken, a session gives way after so long without a new stage, in milliseconds; one within a call last. */
export const SESSION_QUIET_MS = 60_000;

/**
 * A call under way gives way to others after so long without a new stage, in milliseconds: far above what a user's model
 * takes between two stages, and its stages can be sent again.
 */
export const CALL_QUIET_MS = 60_000;

/**
 * A call under way gives way to others after so long in all, in milliseconds, however often something new is asked of it: a
 * quarter of an hour for a forward pass. So nobody keeps the room for good by asking a little every minute.
 */
export const CALL_LIFE_MS = 900_000;

/**
 * A client asks again for so long at most when it is refused for lack of room, in milliseconds: what is quiet has given way
 * by then. No service can make it wait longer.
 */
export const MAX_ROOM_WAIT_MS = 2 * CALL_QUIET_MS;

/** Sessions of one user key that are read from their folders in a minute without having a place in memory. */
export const GUEST_READS_PER_USER_AND_MINUTE = 16;

/** Bytes of the disk that recorded calls leave free: room for the ledger, proofs, and what else is on the disk. */
export const MIN_FREE_BYTES = 2 ** 30;

/** Files that the disk has left for more than sessions, where its file system counts them. A call is one file, a session five. */
export const MIN_FREE_FILES = 4096;

/** How often idle sessions are looked for, in milliseconds. */
export const IDLE_CHECK_MS = 60_000;

/** Proofs that a contributor computes at a time; one needs all cores and the most memory of all requests. */
export const MAX_RUNNING_PROOFS = 1;

/** Proofs that wait for their turn: at half a minute each, half an hour of waiting. */
export const MAX_QUEUED_PROOFS = 64;

/** In so long the queue of proofs moves by one, in milliseconds: a proof of an ordinary adapter takes half of it. */
export const PROOF_TURN_MS = 60_000;

/** Of one user key: another user's proof waits for at most so many of it. */
export const MAX_QUEUED_PROOFS_PER_USER = 8;

/** Ended proof jobs whose state is remembered; a hundred bytes each. */
export const MAX_KEPT_JOBS = 1024;

/** A proof is a few KB; 1 MB leaves room for adapters of many groups. */
export const MAX_PROOF_BYTES = 2 ** 20;

/** Proof bytes in one message. */
export const PROOF_CHUNK_BYTES = 64 * 1024;

/** Messages of one proof: 16 chunks, and progress for each step of each module of a large adapter. */
export const MAX_PROOF_MESSAGES = 65_536;

/** A PEM file: a key and some certificates of at most 8 KB each. */
export const MAX_PEM_FILE_BYTES = 256 * 1024;

/** Tokens of a service; all are compared at each call. */
export const MAX_TOKENS = 1024;

/** A file of that many names and tokens, with comments. */
export const MAX_TOKEN_FILE_BYTES = 2 ** 20;

/** TLS handshake of a user: two round trips on a slow line, in milliseconds. */
export const TLS_HANDSHAKE_MS = 10_000;

/** Connections of a service. One takes some 100 KB, and one of {@link FLOW_WINDOW_BYTES} more at worst. */
export const MAX_CONNECTIONS = 256;

/** Connections of one peer: an office behind one address. */
export const MAX_CONNECTIONS_PER_PEER = 32;

/** Calls under way: a stream and something beside it for each open session, and some room. */
export const MAX_OPEN_CALLS = 192;

/** Calls under way of one peer. */
export const MAX_CALLS_PER_PEER = 48;

/** New calls and stages of one peer in a second: a model of 20 stages evaluated ten times a second. */
export const REQUESTS_PER_SECOND = 200;

/** So many may come at once. */
export const REQUESTS_BURST = 400;

/** Open sessions of one user key. */
export const MAX_SESSIONS_PER_USER = 16;

/** Metadata entries of a call; ours are two. */
export const MAX_METADATA_ENTRIES = 32;

/** Bytes of a call's metadata: a token of 512 characters, tracing headers of proxies. */
export const MAX_METADATA_BYTES = 8192;

/**
 * Requests of Apply that have begun to arrive and are not answered, in all streams: eight of the largest. Other requests come
 * to {@link MAX_OPEN_CALLS} times {@link MAX_SMALL_REQUEST_BYTES} at most, and are not held up by these.
 */
export const MAX_RECEIVING_BYTES = 8 * MAX_MESSAGE_BYTES;

/** A request other than of a stage: a session's header of 4096 modules takes 30 KB. */
export const MAX_SMALL_REQUEST_BYTES = 256 * 1024;

/** Answers of Apply that wait to be taken, in all streams: eight of the largest. */
export const MAX_ANSWERING_BYTES = 8 * MAX_MESSAGE_BYTES;

/** Of the two above, what one peer may hold: four of the largest messages. */
export const PEER_SHARE = 1 / 2;

/** A question of the reflection service: two names. */
export const MAX_REFLECTION_BYTES = 4096;

/** Questions to the reflection service that a client may send before it reads an answer. */
export const MAX_UNANSWERED_LOOKUPS = 16;

/** Streams that watch the health of the service; a further one ends the oldest. */
export const MAX_HEALTH_WATCHERS = 16;

/** Pieces of one message may be smaller on average than {@link MIN_FRAME_BYTES} up to so many. */
export const MAX_FRAMES_BASE = 64;

/** Smallest average piece of a message, in bytes; an HTTP/2 frame usually has 16,384. */
export const MIN_FRAME_BYTES = 256;

/** How often streams are looked at for the three limits below, in milliseconds. */
export const SWEEP_MS = 5_000;

/** A message has to arrive, and an answer to be taken, in so long: 64 MiB at 4.5 Mbit/s, in milliseconds. */
export const MESSAGE_MS = 120_000;

/** A stream without a request is ended after so long: a forward pass of the user's model between stages. */
export const STREAM_IDLE_MS = 900_000;

/** A connection without a call is ended after so long, in milliseconds. */
export const CONNECTION_IDLE_MS = 900_000;

/** Quiet connections are asked for a sign of life so often, in milliseconds; half-open ones end so. */
export const KEEPALIVE_MS = 60_000;

/** How long the sign of life may take, in milliseconds. */
export const KEEPALIVE_TIMEOUT_MS = 20_000;

/** Memory of one HTTP/2 connection beyond which it gets no new streams, in megabytes: two answers of the largest. */
export const MAX_CONNECTION_MEGABYTES = 160;

/** A stream that is answered may stay open so long for the answer to be taken in, in milliseconds. */
export const LINGER_MS = 1_000;

/** Answers under way may take so long while a service shuts down, in milliseconds. */
export const SHUTDOWN_MS = 10_000;

/** Fields at the top of a message: 4096 inputs, several times over. */
export const MAX_MESSAGE_FIELDS = 16_384;
