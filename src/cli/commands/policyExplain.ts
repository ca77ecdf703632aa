import { decideProcess, jobSpecOf } from "../../daemon/decision.ts";
import { factsOfJob } from "../../daemon/reconcilePolicy.ts";
import { type DryRun, planDryRun } from "../../jobs/attach/planAttach.ts";
import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import { limitJson } from "../../jobs/json.ts";
import type { JobMode } from "../../jobs/model/job.ts";
import { maskSecrets, maskText } from "../../jobs/model/secrets.ts";
import { findForeignJob } from "../../jobs/recovery/foreignJobs.ts";
import { roundedCores } from "../../json/rounding.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { SlowReader } from "../../linux/proc/slowFacts/slowReader.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { listPids, MAX_ARGUMENT_BYTES } from "../../linux/proc/table.ts";
import { type PlannedShare, readPlannedShares } from "../../metrics/shares/plannedShares.ts";
import { askWithFacts } from "../../policy/collectFacts.ts";
import { type Decision, type Explanation, explain, type Step } from "../../policy/decide.ts";
import type { ProcessFacts } from "../../policy/facts.ts";
import type { Policy } from "../../policy/policy.ts";
import { FactReader } from "../../policy/procFacts.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { requirePolicyInForce } from "../options/policy.ts";
import { coresText } from "../output/amounts.ts";
import { describeChanges } from "../output/changes.ts";
import { printErr, printJson, printOut } from "../output/messages.ts";
import { nameOfOutcome } from "../output/outcomes.ts";
import { type Column, type Pair, renderPairs, renderTable } from "../output/table.ts";
import { openToRead } from "../session.ts";

/** One process: the decision of the policy, and what `watch` would do. */
interface Explained extends Explanation {
  facts: ProcessFacts;
  /** The job that `watch` would create, and its changes; `undefined` for a process that it leaves alone. */
  plan: (DryRun & { jobId: string }) | undefined;
  /** Why `watch` leaves the process alone; `null` where it governs. */
  reason: string | null;
  /** The job that the process belongs to. */
  governed: GovernedAs | undefined;
  /** The share of the job. Absent: there would be no job. */
  sure?: PlannedShare;
}

/**
 * `directory`: the state directory of the ffrtmp that governs it; `null` where that is another one and not known. `mode`:
 * `null` for another one.
 */
interface GovernedAs {
  jobId: string;
  directory: string | null;
  mode: JobMode | null;
}

/** Shows how `watch` decides, by running the code of `watch`. Changes nothing. */
export async function explainPolicy(
  flags: CommonFlags & {
    pid?: number;
    all?: boolean;
    file?: string;
    watchConfig?: string;
    fleetConfig?: string;
  },
): Promise<number> {
  const { pid, json } = flags;
  if (pid === undefined && !flags.all)
    throw new Refusal("no process given", "ffrtmp policy explain --pid N, or --all");
  const context = openToRead(flags);
  const policy = await requirePolicyInForce(flags, context.state.directory);
  const reader = new FactReader(context.host);
  const all = pid === undefined ? listPids(context.host).sort((a, b) => a - b) : [pid];
  const pids = pid === undefined ? all.filter((each) => !isKernelThread(context, each)) : all;
  const readers = { reader, slowReader: new SlowReader(context.host) };
  const decided = (
    await Promise.all(pids.map((each) => explainProcess(context, policy, readers, each)))
  ).flat();
  const explained = await addShares(context, decided);
  if (pid === undefined) {
    if (json) printJson(explained.map(explainedJson));
    else printOut(renderTable(COLUMNS, explained));
    const left = all.length - pids.length;
    if (left > 0 && !json) printErr(`${left} kernel threads are left out: they are never governed`);
  } else {
    const [only] = explained;
    if (only === undefined) throw new Refusal(`process ${pid} does not exist`, "see what runs: ps -e");
    if (json) printJson(explainedJson(only));
    else printOut(describe(only));
  }
  context.ledger.close();
  return 0;
}

/** Adds what each job would be sure of, beside all that runs now. */
async function addShares(context: Context, explained: readonly Explained[]): Promise<Explained[]> {
  const plans = explained.flatMap(({ facts, plan }) => (plan ? [{ ...plan, pid: facts.pid }] : []));
  if (plans.length === 0) return [...explained];
  const shares = await readPlannedShares(context, context.ledger.openJobs(), plans);
  const byPid = new Map(plans.map(({ pid }, index) => [pid, shares[index]]));
  return explained.map((each) => {
    const sure = byPid.get(each.facts.pid);
    return sure ? { ...each, sure } : each;
  });
}

async function explainProcess(
  context: Context,
  policy: Policy,
  readers: { reader: FactReader; slowReader: SlowReader },
  pid: number,
): Promise<Explained[]> {
  const stat = readStat(context.host, pid);
  if (stat === "gone") return [];
  const { bootId, ledger, state } = context;
  const job = ledger.openJobOfProcess({ bootId, pid, startTicks: stat.startTicks });
  const ask = (each: ProcessFacts) => explain(policy, each);
  // A job is decided about as the daemon does after a reload: by the cgroups that it came from.
  const { answer, facts, slow } = await askWithFacts(readers, stat, ask, job && factsOfJob(context, job));
  const explained = { facts, ...answer, governed: undefined };
  const outcome = decideProcess(context, pid, () => explained.decision, slow);
  if (outcome.govern) {
    const spec = jobSpecOf(policy, outcome.decision, pid);
    const plan = { ...planDryRun(context, outcome.process, spec), jobId: spec.jobId };
    return [{ ...explained, plan, reason: null }];
  }
  const { governedBy: jobId, byAnother, cgroup = "" } = outcome.ineligible ?? {};
  if (jobId === undefined) return [{ ...explained, plan: undefined, reason: outcome.reason }];
  const directory = byAnother ? (findForeignJob(context, cgroup)?.directory ?? null) : state.directory;
  const governed = { jobId, directory, mode: job?.jobId === jobId ? job.mode : null };
  return [{ ...explained, plan: undefined, reason: outcome.reason, governed }];
}

function isKernelThread({ host }: Context, pid: number): boolean {
  const stat = readStat(host, pid);
  return stat !== "gone" && stat.isKernelThread;
}

const COLUMNS: Column<Explained>[] = [
  { heading: "PID", right: true, text: ({ facts }) => String(facts.pid) },
  { heading: "COMMAND", text: ({ facts }) => maskText(facts.names.comm) },
  { heading: "GOVERN", text: ({ plan }) => (plan ? "yes" : "no") },
  { heading: "RULE", text: ({ decision }) => decision.rule ?? "-" },
  { heading: "TENANT", text: ({ decision }) => (decision.govern ? decision.tenant : undefined) ?? "-" },
  {
    heading: "WHY",
    text: ({ reason, governed }) => (governed ? `already governed as ${governed.jobId}` : (reason ?? "")),
  },
];

function describe({ facts, steps, plan, reason, decision, governed, sure }: Explained): string {
  const verdict: Pair[] = plan
    ? [
        ["verdict", `govern as ${plan.jobId}`],
        ["decided by", decisionText(decision)],
        ["tenant", (decision.govern ? decision.tenant : undefined) ?? "none"],
        ...plan.cgroups.map((path): Pair => ["cgroup", path]),
        ...plan.outcomes.map((outcome): Pair => [nameOfOutcome(outcome), outcomeText(outcome)]),
        ...describeChanges(plan.changes).map((change): Pair => ["would", change]),
        ...(sure ? [["sure of", sureText(sure)] as Pair] : []),
      ]
    : governed
      ? governedPairs(governed, decision)
      : [["verdict", `leave alone: ${reason}`]];
  return [renderPairs(factPairs(facts)), renderTable(STEP_COLUMNS, steps), renderPairs(verdict)].join("\n\n");
}

/** Returns what the job would get when everything that runs now is busy. */
function sureText(sure: PlannedShare): string {
  return "unknown" in sure
    ? `not known: ${sure.unknown}`
    : `${coresText(sure.cores)} cores as this job, when everything that runs now is busy`;
}

function governedPairs({ jobId, directory, mode }: GovernedAs, decision: Decision): Pair[] {
  const where =
    directory === null ? "by an ffrtmp with another state directory" : `state directory ${directory}`;
  const verdict: Pair = ["verdict", `already governed as ${jobId} (${where})`];
  // A reload changes and releases the jobs of `watch` alone.
  if (mode !== "watch") return [verdict];
  const outcome = decision.govern
    ? `keeps it, by ${decisionText(decision)}`
    : `releases it: ${decision.because}`;
  return [verdict, ["this policy", outcome]];
}

function decisionText({ rule }: Decision): string {
  return rule === undefined ? "target_commands" : `rule ${rule}`;
}

const UNKNOWN = "not readable";
const ARGUMENTS_CUT: Pair = ["arguments cut", `only the first ${MAX_ARGUMENT_BYTES} bytes are read`];
const ARGUMENTS_MASKED: Pair = ["secrets", "masked as ***; the policy compares the true arguments"];

function factPairs(facts: ProcessFacts): Pair[] {
  const shown = shownFacts(facts);
  return [
    ["pid", `${facts.pid}, parent ${facts.ppid}`],
    ["name", shown.comm],
    ["executable", shown.executable ?? UNKNOWN],
    ["arguments", shown.argv.join(" ") || UNKNOWN],
    ...(facts.isArgvCut ? [ARGUMENTS_CUT] : []),
    ...(isMasked(facts, shown) ? [ARGUMENTS_MASKED] : []),
    ["user", `${facts.user ?? "unnamed"} (${facts.uid ?? UNKNOWN})`],
    ["group", `${facts.group ?? "unnamed"} (${facts.gid ?? UNKNOWN})`],
    ["directory", shown.cwd ?? UNKNOWN],
    ["started by", shown.ancestors.join(" < ") || "unknown"],
    ["cgroups", [...new Set(facts.cgroups)].join(", ") || UNKNOWN],
    ["container", facts.container ?? "none"],
    ["age", `${(facts.ageMs / 1000).toFixed(1)}s`],
  ];
}

const STEP_COLUMNS: Column<Step>[] = [
  { heading: "RULE", text: ({ subject, kind }) => (kind === "rule" ? subject : `(${subject})`) },
  { heading: "RESULT", text: ({ failed, isTooLate }) => (failed ? "no" : isTooLate ? "too late" : "yes") },
  {
    heading: "FIRST CONDITION THAT FAILED",
    text: ({ failed }) => (failed ? `${failed.key}: wants ${failed.wanted}, and it is ${failed.found}` : ""),
  },
];

function outcomeText({ outcome, wanted, because }: LimitOutcome): string {
  const word = outcome === "applied" || outcome === "partial" ? wanted : `${wanted} would be ${outcome}`;
  return because === undefined ? word : `${word}; ${because}`;
}

/** Returns the facts that a process chooses, with secrets masked. The policy compares the true ones. */
function shownFacts({ names, executable, argv, cwd, ancestors }: ProcessFacts) {
  return {
    comm: maskText(names.comm),
    executable: executable === undefined ? undefined : maskText(executable),
    argv: maskSecrets(argv),
    cwd: cwd === undefined ? undefined : maskText(cwd),
    ancestors: ancestors.map(({ comm }) => maskText(comm)),
  };
}

function isMasked({ argv }: ProcessFacts, shown: Pick<ProcessFacts, "argv">): boolean {
  return !Bun.deepEquals(shown.argv, argv);
}

/** Leaves out the environment; conditions on it show the values they found, with secrets masked. */
function explainedJson({
  facts,
  steps,
  decision,
  plan,
  reason,
  governed,
  sure,
}: Explained): Record<string, unknown> {
  const shown = shownFacts(facts);
  return {
    pid: facts.pid,
    facts: {
      parent_pid: facts.ppid,
      comm: shown.comm,
      executable: shown.executable ?? null,
      argv: shown.argv,
      argv_cut: facts.isArgvCut,
      argv_masked: isMasked(facts, shown),
      uid: facts.uid ?? null,
      user: facts.user ?? null,
      gid: facts.gid ?? null,
      group: facts.group ?? null,
      cwd: shown.cwd ?? null,
      ancestors: shown.ancestors,
      cgroups: facts.cgroups,
      container: facts.container ?? null,
      age_seconds: facts.ageMs / 1000,
    },
    steps: steps.map(({ subject, kind, failed, isTooLate }) => ({
      subject,
      kind,
      matches: failed === undefined,
      too_late: isTooLate,
      failed: failed ?? null,
    })),
    decision,
    govern: plan !== undefined,
    because: reason,
    governed_as: governed ? { job_id: governed.jobId, state_directory: governed.directory } : null,
    job_id: plan?.jobId ?? null,
    would: plan ? planJson(plan) : null,
    sure_cores: sure && "cores" in sure ? roundedCores(sure.cores) : null,
    sure_unknown_because: sure && "unknown" in sure ? sure.unknown : null,
  };
}

export function planJson({ cgroups, outcomes, changes }: DryRun): Record<string, unknown> {
  return {
    cgroups,
    outcomes: outcomes.map(limitJson),
    changes,
    writes: changes
      .filter((change) => change.kind === "file-written")
      .map(({ path, after }) => ({ path, data: after })),
    attributes: changes
      .filter((change) => change.kind === "attribute-set")
      .map(({ attribute: limit, pid, tid, before: from, after: to }) => ({ limit, pid, tid, from, to })),
  };
}
