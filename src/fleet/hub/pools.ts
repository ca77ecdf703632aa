import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
} from "@nats-io/jetstream";
import { JOBS, jobSubject, retrySubject } from "../messages/subjects.ts";

/**
 * The time between the delivery of an offer and its claim: then the server delivers it again. It is no lease of a job, which
 * the claim gives away for ever.
 */
const ACK_WAIT_NS = 10e9;
/** Each node of a pool can have two requests waiting, and the server allows no change: enough for 32,000 nodes. */
const MAX_WAITING = 65_536;

/** Returns the consumer from which all nodes of a pool take its jobs. */
function poolConsumer(pool: string): ConsumerConfig & Required<Pick<ConsumerConfig, "filter_subjects">> {
  return {
    durable_name: pool,
    filter_subjects: [jobSubject(pool), retrySubject(pool, "*")],
    deliver_policy: DeliverPolicy.All,
    ack_policy: AckPolicy.Explicit,
    ack_wait: ACK_WAIT_NS,
    max_deliver: -1,
    // The default of 1,000 stops the pool when 1,000 nodes hold an offer each.
    max_ack_pending: -1,
    max_waiting: MAX_WAITING,
  } as ConsumerConfig & Required<Pick<ConsumerConfig, "filter_subjects">>;
}

/** Creates the consumers of pools that have none, and corrects those that exist. Returns the names of both. */
export async function ensurePools(
  manager: JetStreamManager,
  pools: readonly string[],
): Promise<{ created: string[]; changed: string[] }> {
  const [created, changed]: [string[], string[]] = [[], []];
  for (const pool of pools) {
    const wanted = poolConsumer(pool);
    const found = await findConsumer(manager, pool);
    if (found === undefined) {
      await manager.consumers.add(JOBS, wanted);
      created.push(`the queue of ${pool}`);
    } else if (differs(found, wanted)) {
      await manager.consumers.update(JOBS, pool, { ...found, ...wanted });
      changed.push(`the queue of ${pool}`);
    }
  }
  return { created, changed };
}

async function findConsumer(manager: JetStreamManager, pool: string): Promise<ConsumerConfig | undefined> {
  try {
    return (await manager.consumers.info(JOBS, pool)).config;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.ConsumerNotFound)
      return undefined;
    throw error;
  }
}

function differs(found: ConsumerConfig, wanted: ConsumerConfig): boolean {
  return Object.entries(wanted).some(
    ([key, value]) => JSON.stringify(found[key as keyof ConsumerConfig]) !== JSON.stringify(value),
  );
}
