import { release } from "node:os";
import { version } from "../../../package.json";
import { readDaemonReport } from "../../daemon/status.ts";
import { isoTime } from "../../jobs/json.ts";
import { type OpenJob, observerOf, startedMsOf } from "../../jobs/model/job.ts";
import { shownCommand } from "../../jobs/model/secrets.ts";
import type { Totals } from "../../ledger/outbox.ts";
import { readHierarchies } from "../../linux/cgroup/hierarchies.ts";
import type { Host } from "../../linux/host.ts";
import { readMemoryTotalBytes } from "../../linux/memory.ts";
import { countOnlineCpus } from "../../linux/onlineCpus.ts";
import type { LiveJob, NodeMessage } from "../messages/node.ts";
import type { NodeConfig } from "../nodeConfig.ts";
import type { NodeControl } from "./documentKeeper.ts";
import type { AgentLedger, OutboxView } from "./nodeLedger.ts";

const MAX_JOBS = 200;
/** Of 256 KiB that the hub accepts. Operators choose the lengths of labels, and processes those of commands. */
const MAX_JOBS_BYTES = 192 * 1024;
const HOUR_MS = 3_600_000;
const TOTALS_HOURS = 24;

/** What the sender of results knows. */
export interface SenderState {
  sent: number | undefined;
  /** The ledger was cloned or restored from a backup. */
  isDiverged: boolean;
  /** Why results are not sent now. */
  fault: string | undefined;
}

/** The part of the report that the dispatcher makes. */
export type DispatchReport = Pick<NodeMessage, "capacity" | "dispatch" | "claims" | "accepts">;

/** The parts of a node's state that change only with the machine. */
export interface NodeFacts {
  host: Host;
  bootId: string;
  config: NodeConfig;
  machine: NodeMessage["machine"];
  withCommands: boolean;
  /** Returns the wishes for the node. Absent: they are not known. */
  control?: () => NodeControl;
}

export function readMachine(host: Host): NodeMessage["machine"] {
  const versions = new Set(
    readHierarchies(host)
      .filter(({ controllers }) => controllers.length > 0)
      .map((each) => each.version),
  );
  const [only] = versions;
  return {
    cpus: countOnlineCpus(),
    mem: readMemoryTotalBytes(host) ?? null,
    kernel: release(),
    cgroup: versions.size > 1 ? "hybrid" : only === undefined ? "none" : `v${only}`,
  };
}

/** Describes the node as its ledger has it now. A ledger that cannot be read is described by its fault. */
export function describeNode(facts: NodeFacts, ledger: AgentLedger, sender: SenderState): NodeMessage {
  const nowMs = facts.host.now();
  const sinceMs = Math.floor(nowMs / HOUR_MS - TOTALS_HOURS) * HOUR_MS;
  const { node, labels, pools } = facts.config;
  const known = {
    v: 1 as const,
    node,
    boot_id: facts.bootId,
    ffrtmp: version,
    at: new Date(nowMs).toISOString(),
    labels,
    pools,
    machine: facts.machine,
    ...facts.control?.(),
  };
  try {
    const waiting = ledger.readInbox();
    return ledger.read((outbox) => ({
      ...known,
      ledger_id: outbox.ledgerId,
      ...describeWatch(facts.host, outbox),
      outbox: describeOutbox(outbox, sender),
      ...describeJobs(outbox.openJobs(waiting), facts.withCommands),
      totals: describeTotals(sinceMs, outbox.totals(sinceMs)),
      fault: null,
    }));
  } catch (error) {
    const fault = error instanceof Error ? error.message : String(error);
    return {
      ...known,
      ledger_id: null,
      watch: null,
      outbox: { seq: 0, sent: sender.sent ?? null, oldest_ms: null, state: "failing", why: fault },
      jobs: [],
      more: 0,
      totals: describeTotals(sinceMs, { jobs: 0, compliant: 0, violations: {} }),
      fault,
    };
  }
}

function describeWatch(host: Host, outbox: OutboxView): Pick<NodeMessage, "watch" | "policy"> {
  const report = readDaemonReport({ host, ledger: { note: (name) => outbox.note(name) } });
  if (report === undefined) return { watch: null, policy: null };
  const watch = { state: report.state, since: new Date(report.sinceMs).toISOString() };
  return { watch, policy: report.policy.fleet ?? null };
}

function describeOutbox(outbox: OutboxView, { sent, isDiverged, fault }: SenderState): NodeMessage["outbox"] {
  const seq = outbox.lastSeq;
  const oldestMs = sent === undefined ? undefined : outbox.endOfNextMs(sent);
  const state = isDiverged
    ? "diverged"
    : fault !== undefined
      ? "failing"
      : sent !== undefined && oldestMs === undefined
        ? "current"
        : "sending";
  return { seq, sent: sent ?? null, oldest_ms: oldestMs ?? null, state, why: fault ?? null };
}

function describeTotals(sinceMs: number, totals: Totals): NodeMessage["totals"] {
  return { since: new Date(sinceMs).toISOString(), ...totals };
}

/** Returns as many jobs as a message has room for, the oldest first. */
function describeJobs(open: readonly OpenJob[], withCommands: boolean): Pick<NodeMessage, "jobs" | "more"> {
  const jobs: LiveJob[] = [];
  let bytes = 0;
  for (const job of open.slice(0, MAX_JOBS)) {
    const described = describeJob(job, withCommands);
    const size = Buffer.byteLength(JSON.stringify(described));
    bytes += size;
    // One that is too long hides no other.
    if (bytes > MAX_JOBS_BYTES) bytes -= size;
    else jobs.push(described);
  }
  return { jobs, more: open.length - jobs.length };
}

function describeJob(job: OpenJob, withCommands: boolean): LiveJob {
  const limits: LiveJob["limits"] = { applied: [], partial: [], refused: [], unsupported: [] };
  for (const { limit, outcome } of job.outcomes) limits[outcome].push(limit);
  return {
    job: job.jobId,
    key: job.key,
    pid: job.process?.pid ?? null,
    mode: job.mode,
    state: job.state,
    since: isoTime(startedMsOf(job)),
    observer: observerOf(job)?.pid ?? null,
    limits,
    intent: job.intent,
    tenant: job.tenant,
    labels: { ...job.labels },
    ...(withCommands ? { command: [...shownCommand(job).command] } : {}),
  };
}
