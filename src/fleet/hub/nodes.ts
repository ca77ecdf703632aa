import type { z } from "zod";
import type { fleetJobJson, nodeJson } from "../../json/fleetSchemas.ts";
import type { NodeMessage } from "../messages/node.ts";
import type { Stored, StreamPart } from "./readStream.ts";

export type NodeJson = z.input<typeof nodeJson>;
export type FleetJobJson = z.input<typeof fleetJobJson>;

/** An agent reports every minute, or sooner. A node without a report for this long is silent. */
const SILENT_MS = 150_000;

const UNKNOWN = {
  problem: null,
  last_report: null,
  last_report_age_seconds: null,
  clock_offset_seconds: null,
  jobs: null,
  results_waiting: null,
  oldest_waiting: null,
  eligible_jobs: null,
  compliant_jobs: null,
  watch: null,
  ffrtmp: null,
  kernel: null,
  cpus: null,
  memory_bytes: null,
  cgroup: null,
  labels: {},
  pools: [],
  ring: null,
  cordoned: null,
  policy: null,
  ledger_id: null,
  boot_id: null,
} satisfies Partial<NodeJson>;

/** Returns the nodes of a fleet in the order of their names: those of the operator's files, and all that have reported. */
export function listNodes(known: ReadonlySet<string>, reports: StreamPart<NodeMessage>): NodeJson[] {
  const latest = new Map(reports.messages.map((each) => [each.node, each]));
  const nodes = [...new Set([...known, ...latest.keys()])].sort().map((node): NodeJson => {
    const report = latest.get(node);
    if (report === undefined) return { node, state: "invited", ...UNKNOWN };
    return describeNode(report, known.has(node), reports.hubNowMs);
  });
  return nodes.map((node) => ({ ...node, problem: node.problem ?? sharedLedger(node, nodes) }));
}

/** A machine that was cloned and then joined as another node sends the results of its ledger a second time. */
function sharedLedger({ node, ledger_id }: NodeJson, nodes: readonly NodeJson[]): string | null {
  const others = nodes.filter(
    (each) => each.node !== node && ledger_id !== null && each.ledger_id === ledger_id,
  );
  if (others.length === 0) return null;
  return `its ledger is a copy of that of ${others.map((each) => each.node).join(", ")}: results of both count once`;
}

function describeNode(
  { node, atMs, message }: Stored<NodeMessage>,
  isKnown: boolean,
  hubNowMs: number,
): NodeJson {
  const ageMs = Math.max(0, hubNowMs - atMs);
  const problem =
    message === undefined ? "its report is not of a form that this release knows" : problemOf(message);
  const reported: NodeJson = {
    node,
    state: stateOf(message, ageMs, isKnown),
    ...UNKNOWN,
    problem,
    last_report: new Date(atMs).toISOString(),
    last_report_age_seconds: ageMs / 1000,
  };
  return message === undefined ? reported : { ...reported, ...contentOf(message, atMs) };
}

function stateOf(message: NodeMessage | undefined, ageMs: number, isKnown: boolean): NodeJson["state"] {
  if (!isKnown) return "revoked";
  if (ageMs > SILENT_MS) return "silent";
  if (message?.outbox.state === "diverged") return "refused";
  return message === undefined || message.fault !== null || message.outbox.state === "failing"
    ? "failing"
    : "up";
}

/** Returns what is wrong, the worst first. */
function problemOf({ outbox, fault, watch, policy }: NodeMessage): string | null {
  if (outbox.state === "diverged")
    return `its results are refused: ${outbox.why ?? "its ledger was cloned or restored"}`;
  if (fault !== null) return `its agent reports: ${fault}`;
  if (outbox.state === "failing")
    return `its results are not accepted${outbox.why === null ? "" : `: ${outbox.why}`}`;
  if (watch !== null && watch.state !== "running")
    return `its ffrtmp watch has ${watch.state === "died" ? "died" : "stopped"}`;
  if (policy?.state === "refused" || policy?.state === "unsupported")
    return `the policy of the fleet is ${policy.state} there: ${policy.why}`;
  return null;
}

function contentOf(message: NodeMessage, atMs: number): Partial<NodeJson> {
  const { outbox, machine, totals, fault } = message;
  const isRead = fault === null;
  return {
    clock_offset_seconds: offsetSeconds(message.at, atMs),
    jobs: isRead ? message.jobs.length + message.more : null,
    results_waiting: isRead ? waitingOf(outbox) : null,
    oldest_waiting: outbox.oldest_ms === null ? null : isoTime(outbox.oldest_ms),
    eligible_jobs: isRead ? totals.jobs : null,
    compliant_jobs: isRead ? totals.compliant : null,
    watch: message.watch?.state ?? null,
    ffrtmp: message.ffrtmp,
    kernel: machine.kernel,
    cpus: machine.cpus,
    memory_bytes: machine.mem,
    cgroup: machine.cgroup,
    labels: message.labels,
    pools: message.pools,
    ring: message.ring ?? null,
    cordoned: message.cordoned ?? null,
    policy: policyOf(message),
    ledger_id: message.ledger_id,
    boot_id: message.boot_id,
  };
}

function policyOf({ policy }: NodeMessage): NodeJson["policy"] {
  if (policy === null || policy === undefined) return null;
  return { serial: policy.serial, state: policy.state, why: policy.why };
}

/** Returns the jobs that the nodes reported last, each node's oldest first. */
export function listJobs(nodes: readonly NodeJson[], { messages }: StreamPart<NodeMessage>): FleetJobJson[] {
  const latest = new Map(messages.map((each) => [each.node, each.message]));
  return nodes.flatMap(({ node, state, last_report }) =>
    (latest.get(node)?.jobs ?? []).map((job) => ({
      node,
      node_state: state,
      last_report,
      job_id: job.job,
      key: job.key,
      state: job.state,
      mode: job.mode,
      pid: job.pid,
      start_time: job.since === null ? null : isoTime(Date.parse(job.since)),
      observer_pid: job.observer,
      limits: job.limits,
      intent: job.intent,
      tenant: job.tenant,
      labels: job.labels,
      command: job.command ?? null,
    })),
  );
}

/** `null`: not known. Numbers whose results were pruned do not wait. */
function waitingOf({ seq, sent, oldest_ms }: NodeMessage["outbox"]): number | null {
  if (sent === null) return null;
  return oldest_ms === null ? 0 : Math.max(0, seq - sent);
}

function offsetSeconds(at: string, storedMs: number): number | null {
  const offset = (Date.parse(at) - storedMs) / 1000;
  return Number.isNaN(offset) ? null : offset;
}

/** The years that ISO 8601 writes with four digits. A time near the ends of what a Date holds cannot be shown in all zones. */
const [MIN_MS, MAX_MS] = [Date.parse("0001-01-01T00:00:00Z"), Date.parse("9999-01-01T00:00:00Z")];

/** `null` for a number that is no time: it comes from the node. */
function isoTime(ms: number): string | null {
  return ms >= MIN_MS && ms <= MAX_MS ? new Date(ms).toISOString() : null;
}
