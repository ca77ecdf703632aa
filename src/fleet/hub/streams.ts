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
import type { NatsConnection } from "@nats-io/nats-core";
import { CLAIMS, JOBS, storedSubject } from "../messages/subjects.ts";
import { explainFailure } from "./connection.ts";
import { ensurePools } from "./pools.ts";
import { lacksDispatch } from "./serverVersion.ts";

const MIB = 1024 ** 2;
/** The least size of a stream that is worth having, and how much smaller each try is: the other streams need room too. */
const [SMALLEST_BYTES, SMALLER] = [16 * MIB, 4];
/** "insufficient storage resources available". Source: JSStorageResourcesExceededErr in server/errors.json of nats-server. */
const STORAGE_EXCEEDED = 10_047;
const DAY_NS = 86_400e9;
/** The server allows no more. */
export const MAX_REPLICAS = 5;
/** How long a claim is kept: longer than any job may be offered. */
const CLAIM_DAYS = 400;
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
      // Nodes are told of each document when it is stored, and without its content: most of them are for others.
      republish: { src: "$KV.FLEET.>", dest: storedSubject("$KV.FLEET.>"), headers_only: true },
    },
    chosen: { max_age: 0 },
    created: { deny_delete: true },
  },
};

/** The streams by which jobs are handed out, for a server that does all that these need. */
const DISPATCH_STREAMS: typeof STREAMS = {
  /** The attempts that no node has claimed. An acknowledged one is gone: the claim contains it. */
  [JOBS]: {
    fixed: {
      subjects: ["ffrtmp.job.*", "ffrtmp.retry.*.*"],
      discard: DiscardPolicy.New,
      allow_direct: true,
      max_age: 0,
      duplicate_window: SHORTEST_WINDOW_NS,
    },
    chosen: { max_bytes: 512 * 1024 ** 2 },
    created: { retention: RetentionPolicy.Workqueue },
  },
  /**
   * Which jobs were submitted, who owns which attempt, and which attempts are lost. When it is full, nothing more can be claimed; no claim makes room for
   * another one, and none can be deleted: a job whose claim is gone could run a second time.
   */
  [CLAIMS]: {
    fixed: {
      subjects: ["ffrtmp.claim.*.*.*", "ffrtmp.loss.*.*.*", "ffrtmp.submitted.*"],
      discard: DiscardPolicy.New,
      allow_direct: true,
      duplicate_window: SHORTEST_WINDOW_NS,
    },
    chosen: { max_age: CLAIM_DAYS * DAY_NS, max_bytes: 2 * 1024 ** 3 },
    created: { deny_delete: true, deny_purge: true },
  },
};

/** Returns the names of all streams that the hub of a fleet can have: the reports first, the claims last. */
export function fleetStreams(): string[] {
  return Object.keys({ ...STREAMS, ...DISPATCH_STREAMS });
}

/** The streams and consumers that were missing on a hub, and those whose settings were wrong. */
export interface Ensured {
  readonly created: string[];
  readonly changed: string[];
  /** Why the hub can hand out no jobs; `undefined`: it can. */
  readonly lacksDispatch: string | undefined;
}

/**
 * Creates the streams of a fleet and the queues of its pools that are missing, and corrects those that exist. `servers`: how
 * many the hub has; a new stream has a copy on each, up to five. `replicas`: how many copies those that exist are to have; absent: as
 * many as they have. Throws a Refusal.
 */
export async function ensureStreams(
  connection: NatsConnection,
  pools: readonly string[],
  servers = 1,
  replicas?: number,
): Promise<Ensured> {
  try {
    const manager = await jetstreamManager(connection);
    const lacks = lacksDispatch(connection);
    const wanted = lacks === undefined ? { ...STREAMS, ...DISPATCH_STREAMS } : STREAMS;
    const streams = await ensureEach(manager, wanted, Math.min(servers, MAX_REPLICAS), replicas);
    const queues = lacks === undefined ? await ensurePools(manager, pools) : { created: [], changed: [] };
    return {
      created: [...streams.created, ...queues.created],
      changed: [...streams.changed, ...queues.changed],
      lacksDispatch: lacks,
    };
  } catch (error) {
    throw explainFailure(error, "create the streams of the fleet");
  }
}

async function ensureEach(
  manager: JetStreamManager,
  streams: typeof STREAMS,
  newReplicas: number,
  replicas: number | undefined,
): Promise<{ created: string[]; changed: string[] }> {
  const [created, changed]: [string[], string[]] = [[], []];
  for (const [name, { fixed, chosen, created: atCreation = {} }] of Object.entries(streams)) {
    const found = await findStream(manager, name);
    if (found === undefined) {
      const storage = {
        retention: RetentionPolicy.Limits,
        storage: StorageType.File,
        num_replicas: newReplicas,
      };
      created.push(await addStream(manager, { name, ...storage, ...fixed, ...chosen, ...atCreation }));
    } else if (differs(found, fixed) || found.num_replicas !== (replicas ?? found.num_replicas)) {
      await manager.streams.update(name, {
        ...found,
        ...fixed,
        num_replicas: replicas ?? found.num_replicas,
      });
      changed.push(name);
    }
  }
  return { created, changed };
}

/**
 * Adds a stream, smaller until the hub's disk has room for it: the server reserves its whole size. Returns its name, with the
 * size where that is not the wanted one.
 */
async function addStream(
  manager: JetStreamManager,
  config: Partial<StreamConfig> & Pick<StreamConfig, "name">,
): Promise<string> {
  const { name, max_bytes: wanted } = config;
  for (let bytes = wanted; ; bytes = bytes && bytes / SMALLER) {
    try {
      await manager.streams.add(bytes === undefined ? config : { ...config, max_bytes: bytes });
      return bytes === wanted
        ? name
        : `${name} (up to ${bytes && bytes / MIB} MiB: the disk has no room for more)`;
    } catch (error) {
      const isFull = error instanceof JetStreamApiError && error.code === STORAGE_EXCEEDED;
      if (!isFull || bytes === undefined || bytes < SMALLER * SMALLEST_BYTES) throw error;
    }
  }
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
