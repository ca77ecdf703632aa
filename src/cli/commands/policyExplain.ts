import { decideProcess, jobSpecOf } from "../../daemon/decision.ts";
import { type DryRun, planDryRun } from "../../jobs/attach/planAttach.ts";
import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import { limitJson } from "../../jobs/json.ts";
import { maskSecrets, maskText } from "../../jobs/model/secrets.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { SlowReader } from "../../linux/proc/slowFacts/slowReader.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { listPids, MAX_ARGUMENT_BYTES } from "../../linux/proc/table.ts";
import { askWithFacts } from "../../policy/collectFacts.ts";
import { type Explanation, explain, type Step } from "../../policy/decide.ts";
import type { ProcessFacts } from "../../policy/facts.ts";
import type { Policy } from "../../policy/policy.ts";
import { FactReader } from "../../policy/procFacts.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { requirePolicy, requirePolicyPath } from "../options/policy.ts";
import { describeChange } from "../output/changes.ts";
import { printJson, printOut } from "../output/messages.ts";
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
}

/** Shows how `watch` decides, by running the code of `watch`. Changes nothing. */
export async function explainPolicy(
  flags: CommonFlags & { pid?: number; all?: boolean; watchConfig?: string },
): Promise<number> {
  const { pid, all, json } = flags;
  if (pid === undefined && !all)
    throw new Refusal("no process given", "ffrtmp policy explain --pid N, or --all");
  const policy = await requirePolicy(requirePolicyPath(flags.watchConfig));
  const context = openToRead(flags);
  const reader = new FactReader(context.host);
  const pids = pid === undefined ? listPids(context.host).sort((a, b) => a - b) : [pid];
  const readers = { reader, slowReader: new SlowReader(context.host) };
  const explained = (
    await Promise.all(pids.map((each) => explainProcess(context, policy, readers, each)))
  ).flat();
  if (pid === undefined) {
    if (json) printJson(explained.map(explainedJson));
    else printOut(renderTable(COLUMNS, explained));
  } else {
    const [only] = explained;
    if (only === undefined) throw new Refusal(`process ${pid} does not exist`, "see what runs: ps -e");
    if (json) printJson(explainedJson(only));
    else printOut(describe(only));
  }
  context.ledger.close();
  return 0;
}

async function explainProcess(
  context: Context,
  policy: Policy,
  readers: { reader: FactReader; slowReader: SlowReader },
  pid: number,
): Promise<Explained[]> {
  const stat = readStat(context.host, pid);
  if (stat === "gone") return [];
  const { answer, facts, slow } = await askWithFacts(readers, stat, (each) => explain(policy, each));
  const explained = { facts, ...answer };
  const outcome = decideProcess(context, pid, () => explained.decision, slow);
  if (!outcome.govern) return [{ ...explained, plan: undefined, reason: outcome.reason }];
  const spec = jobSpecOf(policy, outcome.decision, pid);
  const plan = { ...planDryRun(context, outcome.process, spec), jobId: spec.jobId };
  return [{ ...explained, plan, reason: null }];
}

const COLUMNS: Column<Explained>[] = [
  { heading: "PID", right: true, text: ({ facts }) => String(facts.pid) },
  { heading: "COMMAND", text: ({ facts }) => maskText(facts.names.comm) },
  { heading: "GOVERN", text: ({ plan }) => (plan ? "yes" : "no") },
  { heading: "RULE", text: ({ decision }) => decision.rule ?? "-" },
  { heading: "TENANT", text: ({ decision }) => (decision.govern ? decision.tenant : undefined) ?? "-" },
  { heading: "WHY", text: ({ reason }) => reason ?? "" },
];

function describe({ facts, steps, plan, reason, decision }: Explained): string {
  const verdict: Pair[] = plan
    ? [
        ["verdict", `govern as ${plan.jobId}`],
        ["decided by", decision.rule === undefined ? "target_commands" : `rule ${decision.rule}`],
        ["tenant", (decision.govern ? decision.tenant : undefined) ?? "none"],
        ...plan.cgroups.map((path): Pair => ["cgroup", path]),
        ...plan.outcomes.map((outcome): Pair => [nameOfOutcome(outcome), outcomeText(outcome)]),
        ...plan.changes.map((change): Pair => ["would", describeChange(change)]),
      ]
    : [["verdict", `leave alone: ${reason}`]];
  return [renderPairs(factPairs(facts)), renderTable(STEP_COLUMNS, steps), renderPairs(verdict)].join("\n\n");
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
function explainedJson({ facts, steps, decision, plan, reason }: Explained): Record<string, unknown> {
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
    job_id: plan?.jobId ?? null,
    would: plan ? planJson(plan) : null,
  };
}

function planJson({ cgroups, outcomes, changes }: DryRun): Record<string, unknown> {
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
