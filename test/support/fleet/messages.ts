import type { NodeMessage } from "../../../src/fleet/messages/node.ts";
import { resultJson } from "../../../src/jobs/json.ts";
import type { JobResult } from "../../../src/jobs/model/ending.ts";
import type { RunningJob } from "../../../src/jobs/model/job.ts";
import { someJob, someResult } from "../jobs.ts";

/** Returns the report of a healthy node. */
export function someReport(different: Partial<NodeMessage> = {}): NodeMessage {
  const node = different.node ?? "edge-1";
  return {
    v: 1,
    node,
    ledger_id: `ledger-of-${node}`,
    boot_id: "boot-1",
    ffrtmp: "0.1.0",
    at: new Date().toISOString(),
    labels: {},
    pools: [],
    machine: { cpus: 8, mem: 16 * 1024 ** 3, kernel: "6.12.0", cgroup: "v2" },
    watch: { state: "running", since: "2026-11-28T00:00:00.000Z" },
    outbox: { seq: 7, sent: 7, oldest_ms: null, state: "current", why: null },
    jobs: [],
    more: 0,
    totals: { since: "2026-11-27T00:00:00.000Z", jobs: 4, compliant: 3, violations: { oom_killed: 1 } },
    fault: null,
    ...different,
  };
}

/** Returns a running job as a node reports it. */
export function someLiveJob(
  different: Partial<NodeMessage["jobs"][number]> = {},
): NodeMessage["jobs"][number] {
  return {
    job: "live-7",
    key: "0199f1a2-5b7c-7def-8123-456789abcdef",
    pid: 4026,
    mode: "watch",
    state: "running",
    since: "2026-11-28T00:00:00.000Z",
    observer: 700,
    limits: { applied: ["cpu.max", "memory.max"], partial: [], refused: ["io.max"], unsupported: [] },
    intent: null,
    tenant: null,
    labels: {},
    ...different,
  };
}

/** Returns the line of a result as a node sends it. */
export function someResultLine(
  seq: number,
  job: Partial<RunningJob> = {},
  result: Partial<JobResult> = {},
): Record<string, unknown> {
  const ended = someJob({ jobId: `job-${seq}`, ...job });
  return {
    ...resultJson(ended, someResult(ended, { endMs: Date.now() - 1000, ...result })),
    seq,
    key: `key-${seq}`,
  };
}
