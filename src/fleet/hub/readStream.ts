import {
  DeliverPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type { z } from "zod";
import { safeParse } from "zod/mini";
import { Refusal } from "../../jobs/errors.ts";
import { parseJson } from "../messages/parseJson.ts";
import { parseMessage } from "./unpack.ts";

/** A message of a node, as the hub has it. */
export interface Stored<T> {
  /** The last token of its subject, for which the permissions of the hub vouch; what the message says of itself is not proven. */
  readonly node: string;
  /** When the hub stored it, by the clock of the hub: ms since the epoch. */
  readonly atMs: number;
  /** `undefined`: it is not of a form that this release knows. */
  readonly message: T | undefined;
}

export interface ReadOptions {
  readonly node?: string | undefined;
  /** Only messages that the hub stored then or later: ms since the epoch, by the clock of the hub. */
  readonly sinceMs?: number | undefined;
  /** Only the last message of each node. */
  readonly onlyLast?: boolean;
}

interface ReadRawOptions {
  readonly sinceMs?: number | undefined;
  readonly onlyLast?: boolean | undefined;
  readonly parse?: (bytes: Uint8Array) => unknown;
}

/** The part of a stream up to now, and the clock of its server at that moment: ms since the epoch. */
export interface StreamPart<T> {
  readonly messages: Stored<T>[];
  readonly hubNowMs: number;
}

const BATCH = 1000;
/** The longest wait for a batch to become full. */
const WAIT_MS = 5000;

/** A message of a stream, as it is. */
export interface RawMessage {
  readonly subject: string;
  /** Its number in the stream. */
  readonly seq: number;
  /** When the hub stored it, by the clock of the hub: ms since the epoch. */
  readonly atMs: number;
  readonly data: Uint8Array;
  /** `undefined`: it is no JSON. */
  readonly json: unknown;
}

/** Reads the messages of the nodes. Throws a Refusal where the hub has no such stream. */
export async function readStream<T>(
  connection: NatsConnection,
  stream: "NODES" | "RESULTS",
  schema: z.core.$ZodType<T>,
  { node, sinceMs, onlyLast }: ReadOptions = {},
): Promise<StreamPart<T>> {
  const prefix = { NODES: "ffrtmp.node.", RESULTS: "ffrtmp.result." }[stream];
  const part = await readMessages(connection, stream, [`${prefix}${node ?? "*"}`], {
    sinceMs,
    onlyLast,
    parse: parseMessage,
  });
  const messages = part.messages.map(({ subject, atMs, json }) => ({
    node: subject.slice(prefix.length),
    atMs,
    message: safeParse(schema, json).data,
  }));
  return { messages, hubNowMs: part.hubNowMs };
}

/**
 * Reads a stream up to its end, by a consumer that exists for this read alone and that starts again by itself when the
 * connection loses a message. Throws a Refusal where the hub has no such stream. A queue cannot be read so.
 */
export async function readMessages(
  connection: NatsConnection,
  stream: string,
  subjects: string[],
  { sinceMs, onlyLast = false, parse = parseJson }: ReadRawOptions = {},
): Promise<{ messages: RawMessage[]; hubNowMs: number }> {
  const hubNowMs = await hubTime(connection, stream);
  const consumer = await jetstream(connection).consumers.get(stream, {
    filter_subjects: subjects,
    ...(onlyLast ? { deliver_policy: DeliverPolicy.LastPerSubject } : {}),
    ...(sinceMs === undefined
      ? {}
      : { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(sinceMs).toISOString() }),
  });
  const messages: RawMessage[] = [];
  let { num_pending: pending } = await consumer.info();
  while (pending > 0) {
    const before = messages.length;
    for await (const { subject, seq, info, data } of await consumer.fetch({
      max_messages: BATCH,
      expires: WAIT_MS,
    })) {
      const atMs = Math.round(info.timestampNanos / 1e6);
      messages.push({ subject, seq, atMs, data, json: parse(data) });
      pending = info.pending;
      if (pending === 0) break;
    }
    if (messages.length > before) continue;
    // A report that was awaited may have been replaced meanwhile.
    pending = (await consumer.info()).num_pending;
    if (pending > 0)
      throw new Refusal(`the hub did not send all of its stream ${stream}`, "run the command again");
  }
  await consumer.delete();
  return { messages, hubNowMs };
}

async function hubTime(connection: NatsConnection, stream: string): Promise<number> {
  try {
    const { ts } = await (await jetstreamManager(connection)).streams.info(stream);
    // nats-server has it since 2.10.
    return ts === undefined ? Date.now() : Date.parse(ts);
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== JetStreamApiCodes.StreamNotFound) throw error;
    throw new Refusal(
      `the hub has no stream ${stream}`,
      "create the streams of the fleet: ffrtmp fleet setup",
    );
  }
}
