import { closeSync, openSync, readSync, writeSync } from "node:fs";
import type { StreamConfig, StreamState } from "@nats-io/jetstream";
import { createInbox, type Msg, type NatsConnection } from "@nats-io/nats-core";
import { Refusal } from "../../jobs/errors.ts";
import { ADMIN_INBOX } from "./permissions.ts";

// The client has no call for these requests. Source of the subjects and their messages: JSApiStreamSnapshotT and
// JSApiStreamRestoreT in server/jetstream_api.go of nats-server, and streamSnapshot there.

/** Half of what a message may have. */
const CHUNK_BYTES = 128 * 1024;
/** A server reads the whole stream before it sends the first part, and writes it before it answers the last one. */
const PART_TIMEOUT_MS = 60_000;
/** The status of the last, empty part. Servers before 2.10 give none. */
const COMPLETE = 204;

/** A stream as it was when its snapshot was made. */
export interface SnapshotHead {
  readonly config: StreamConfig;
  readonly state: Pick<StreamState, "messages" | "last_seq">;
}

interface Answer extends Partial<SnapshotHead> {
  readonly deliver_subject?: string;
  readonly error?: { description?: string };
}

/** Writes a stream to a new file: messages with their numbers and times, and consumers. Throws a Refusal. */
export async function saveStream(
  connection: NatsConnection,
  name: string,
  file: string,
): Promise<SnapshotHead> {
  const inbox = createInbox(ADMIN_INBOX);
  const fd = openSync(file, "w", 0o600);
  const subscription = connection.subscribe(inbox);
  try {
    const request = { deliver_subject: inbox, chunk_size: CHUNK_BYTES };
    const { config, state } = await ask(
      connection,
      `$JS.API.STREAM.SNAPSHOT.${name}`,
      JSON.stringify(request),
      name,
    );
    if (config === undefined || state === undefined)
      throw new Refusal(`the hub does not describe the stream ${name}`);
    await writeParts(subscription[Symbol.asyncIterator](), fd, name);
    return { config, state };
  } finally {
    subscription.unsubscribe();
    closeSync(fd);
  }
}

async function writeParts(parts: AsyncIterator<Msg>, fd: number, name: string): Promise<void> {
  for (;;) {
    const timer = Promise.withResolvers<undefined>();
    const timeout = setTimeout(timer.resolve, PART_TIMEOUT_MS, undefined);
    const next = await Promise.race([parts.next(), timer.promise]);
    clearTimeout(timeout);
    if (next === undefined || next.done) throw new Refusal(`the hub stopped to send the stream ${name}`);
    const { data, headers } = next.value;
    if (data.length === 0) {
      const code = headers?.code ?? 0;
      if (code === 0 || code === COMPLETE) return;
      throw new Refusal(`the hub cannot send the stream ${name}: ${code} ${headers?.description}`);
    }
    writeSync(fd, data);
    // The server sends so much before it waits for these.
    next.value.respond();
  }
}

/** Makes a stream of a snapshot, with so many copies. Throws a Refusal; then the hub has no such stream. */
export async function restoreStream(
  connection: NatsConnection,
  { config, state }: SnapshotHead,
  file: string,
  replicas: number,
): Promise<void> {
  const { name } = config;
  const request = { config: { ...config, num_replicas: replicas }, state };
  const subject = `$JS.API.STREAM.RESTORE.${name}`;
  const { deliver_subject: target } = await ask(connection, subject, JSON.stringify(request), name);
  if (target === undefined) throw new Refusal(`the hub does not say where it takes the stream ${name}`);
  const fd = openSync(file, "r");
  try {
    const part = new Uint8Array(CHUNK_BYTES);
    for (let size = readSync(fd, part); size > 0; size = readSync(fd, part)) {
      const { data } = await connection.request(target, part.slice(0, size), { timeout: PART_TIMEOUT_MS });
      // An answer with content is an error.
      if (data.length > 0) accept(data, name);
    }
  } finally {
    closeSync(fd);
  }
  const { state: restored } = await ask(connection, target, "", name);
  if (restored?.messages !== state.messages || restored.last_seq !== state.last_seq)
    throw new Refusal(
      `the stream ${name} is not the one of before: it ends at ${restored?.last_seq}, and not at ${state.last_seq}`,
    );
}

async function ask(connection: NatsConnection, subject: string, text: string, name: string): Promise<Answer> {
  return accept((await connection.request(subject, text, { timeout: PART_TIMEOUT_MS })).data, name);
}

function accept(data: Uint8Array, name: string): Answer {
  const answer: Answer = JSON.parse(new TextDecoder().decode(data));
  if (answer.error !== undefined)
    throw new Refusal(`the hub does not move the stream ${name}: ${answer.error.description}`);
  return answer;
}
