import { carriedOf } from "../jobs/changes.ts";
import { eventJson, jobJson, jobUsageJson, resultJson } from "../jobs/json.ts";
import type { JobResult } from "../jobs/model/ending.ts";
import type { Job } from "../jobs/model/job.ts";
import type { RecordedEvent } from "../jobs/model/jobEvent.ts";
import { type ShownCommand, shownCommand } from "../jobs/model/secrets.ts";
import type { Usage } from "../limits/usage.ts";
import type { Hindrance } from "../metrics/hindrance/hindrance.ts";
import type { StoredHistory } from "../metrics/history/encoding.ts";
import type { RingName } from "../metrics/history/jobHistory.ts";
import type { JobMemory } from "../metrics/jobReading.ts";
import type { JobMedia } from "../metrics/media/mediaReader.ts";
import type { JobNetwork } from "../metrics/network/networkReader.ts";
import { hindranceJson, mediaJson, memoryJson, networkJson } from "./jobUse.ts";
import { usageHistoryJson } from "./usageHistory.ts";

/** All that is known about one job. */
export interface InspectedJob {
  readonly job: Job;
  /** Absent: the command with its secrets masked. */
  readonly shown?: ShownCommand;
  /** Absent: it has not ended. */
  readonly result: JobResult | undefined;
  readonly processes: readonly number[];
  readonly memory: JobMemory | undefined;
  readonly usage: Usage;
  readonly rings: Partial<Record<RingName, StoredHistory>>;
  readonly network: JobNetwork | null;
  /** `null`: it has ended. */
  readonly media: JobMedia | null;
  /** `null`: nothing is known to hold it back. */
  readonly hindrance: Hindrance | null;
  readonly events: readonly RecordedEvent[];
}

export function inspectedJobJson(inspected: InspectedJob) {
  const { job, shown = shownCommand(job), result, rings, media, events } = inspected;
  return {
    ...jobJson(job, shown),
    carried_limits: carriedOf(job),
    processes: [...inspected.processes],
    ...memoryJson(inspected.memory),
    usage: jobUsageJson(job, inspected.usage),
    usage_history: usageHistoryJson(rings.life),
    usage_last_10_minutes: usageHistoryJson(rings.tenMinutes),
    usage_last_6_hours: usageHistoryJson(rings.sixHours),
    network: networkJson(inspected.network),
    media: media ? mediaJson(media) : null,
    hindrance: hindranceJson(inspected.hindrance),
    result: result ? resultJson(job, result, shown) : null,
    events: events.map(eventJson),
  };
}
