import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamUpdateConfig,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { explainFailure } from "./connection.ts";

const DAY_NS = 86_400e9;
/** The shortest that the server allows. No message has an id, so none is looked up. */
const SHORTEST_WINDOW_NS = 100e6;

/** Keys that make a stream safe. A stream that exists is given them; its sizes and copies stay as the operator chose them. */
type Fixed = Partial<StreamUpdateConfig> & Pick<StreamConfig, "subjects" | "allow_direct">;
type Chosen = Partial<Pick<StreamConfig, "max_age" | "max_bytes">>;

const STREAMS: Record<string, { fixed: Fixed; chosen: Chosen; created?: Partial<StreamConfig> }> = {
  /** The last state of each node. */
  NODES: {
    fixed: {
      subjects: ["ffrtmp.node.*"],
      max_msgs_per_subject: 1,
      discard: DiscardPolicy.Old,
      allow_direct: true,
      duplicate_window: SHORTEST_WINDOW_NS,
    },
    chosen: { max_age: 0 },
  },
  /**
   * The results of each node, a chain of messages. When it is full, a node gets an error and keeps its results: nothing that
   * was acknowledged disappears before its age. No message can be deleted, so a chain has no gaps.
   */
  RESULTS: {
    fixed: {
      subjects: ["ffrtmp.result.*"],
      discard: DiscardPolicy.New,
      allow_direct: true,
      duplicate_window: SHORTEST_WINDOW_NS,
    },
    chosen: { max_age: 90 * DAY_NS, max_bytes: 4 * 1024 ** 3 },
    created: { deny_delete: true },
  },
  /** Signed documents: policies, templates, and what a node is asked to do. The form of a NATS key-value bucket. */
  KV_FLEET: {
    fixed: {
      subjects: ["$KV.FLEET.>"],
      max_msgs_per_subject: 10,
      discard: DiscardPolicy.New,
      allow_direct: true,
      allow_rollup_hdrs: true,
    },
    chosen: { max_age: 0 },
    created: { deny_delete: true },
  },
};

/** Creates the streams of a fleet that are missing, and corrects those that exist. Returns the names of both. Throws a Refusal. */
export async function ensureStreams(
  connection: NatsConnection,
): Promise<{ created: string[]; changed: string[] }> {
  try {
    return await ensureEach(await jetstreamManager(connection));
  } catch (error) {
    throw explainFailure(error, "create the streams of the fleet");
  }
}

async function ensureEach(manager: JetStreamManager): Promise<{ created: string[]; changed: string[] }> {
  const [created, changed]: [string[], string[]] = [[], []];
  for (const [name, { fixed, chosen, created: atCreation = {} }] of Object.entries(STREAMS)) {
    const found = await findStream(manager, name);
    if (found === undefined) {
      const storage = { retention: RetentionPolicy.Limits, storage: StorageType.File };
      await manager.streams.add({ name, ...storage, ...fixed, ...chosen, ...atCreation });
      created.push(name);
    } else if (differs(found, fixed)) {
      await manager.streams.update(name, { ...found, ...fixed });
      changed.push(name);
    }
  }
  return { created, changed };
}

async function findStream(manager: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(name)).config;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound)
      return undefined;
    throw error;
  }
}

function differs(found: StreamConfig, wanted: Fixed): boolean {
  return Object.entries(wanted).some(
    ([key, value]) => JSON.stringify(found[key as keyof StreamConfig]) !== JSON.stringify(value),
  );
}
