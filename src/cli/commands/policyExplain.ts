import { autoJobId, decideProcess, jobSpecOf, type ProcessDecision } from "../../daemon/decision.ts";
import type { DryRun } from "../../jobs/attach/planAttach.ts";
import { planDryRun } from "../../jobs/attach/planAttach.ts";
import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { listPids } from "../../linux/proc/table.ts";
import { type Explanation, explain, type Step } from "../../policy/decide.ts";
import type { ProcessFacts } from "../../policy/facts.ts";
import type { Policy } from "../../policy/policy.ts";
import { FactReader } from "../../policy/procFacts.ts";
import type { StateFlags } from "../options/jobOptions.ts";
import { requirePolicy, requirePolicyPath } from "../options/policyFile.ts";
import { describeChange } from "../output/changes.ts";
import { printJson, printOut } from "../output/messages.ts";
import { nameOfOutcome } from "../output/outcomes.ts";
import { type Pair, renderPairs } from "../output/pairs.ts";
import { type Column, renderTable } from "../output/table.ts";
import { openContext } from "../session.ts";

interface ExplainFlags extends StateFlags {
  pid?: number;
  all?: boolean;
  watchConfig?: string;
  json?: boolean;
}

/** One process: the decision of the policy, and what `watch` would do. */
interface Explained extends Explanation {
  pid: number;
  facts: ProcessFacts;
  outcome: ProcessDecision;
  /** The changes that governing would make; `undefined` for a process that `watch` leaves alone. */
  dryRun: DryRun | undefined;
}

/** Shows how `watch` decides, by running the code of `watch`. Changes nothing. */
export async function explainPolicy(flags: ExplainFlags): Promise<number> {
  if (flags.pid === undefined && !flags.all) {
    throw new Refusal("no process given", "ffrtmp policy explain --pid N, or --all");
  }
  const policy = await requirePolicy(requirePolicyPath(flags.watchConfig));
  const context = openContext(flags);
  const reader = new FactReader(context.host);
  if (flags.pid === undefined) explainAll(context, policy, reader, flags.json ?? false);
  else explainOne(context, policy, reader, flags.pid, flags.json ?? false);
  context.ledger.close();
  return 0;
}

function explainOne(context: Context, policy: Policy, reader: FactReader, pid: number, json: boolean): void {
  const explained = explainProcess(context, policy, reader, pid);
  if (explained === "gone") throw new Refusal(`process ${pid} does not exist`, "see what runs: ps -e");
  if (json) printJson(explainedJson(explained));
  else printOut(describe(explained));
}

function explainAll(context: Context, policy: Policy, reader: FactReader, json: boolean): void {
  const pids = listPids(context.host).sort((a, b) => a - b);
  const all = pids.flatMap((pid) => {
    const explained = explainProcess(context, policy, reader, pid);
    return explained === "gone" ? [] : [explained];
  });
  if (json) printJson(all.map(explainedJson));
  else printOut(renderTable(COLUMNS, all));
}

function explainProcess(
  context: Context,
  policy: Policy,
  reader: FactReader,
  pid: number,
): Explained | "gone" {
  const stat = readStat(context.host, pid);
  if (stat === "gone") return "gone";
  const facts = reader.of(stat);
  const { decision, steps } = explain(policy, facts);
  const outcome = decideProcess(context, pid, () => decision);
  const dryRun = outcome.govern
    ? planDryRun(context, outcome.process, {
        jobId: autoJobId(outcome.decision.target, pid),
        ...jobSpecOf(policy, outcome.decision),
      })
    : undefined;
  return { pid, facts, decision, steps, outcome, dryRun };
}

const COLUMNS: Column<Explained>[] = [
  { heading: "PID", right: true, text: ({ pid }) => String(pid) },
  { heading: "COMMAND", text: ({ facts }) => facts.names.comm },
  { heading: "GOVERN", text: ({ outcome }) => (outcome.govern ? "yes" : "no") },
  { heading: "RULE", text: ({ decision }) => decision.rule ?? "-" },
  { heading: "TENANT", text: ({ decision }) => (decision.govern ? (decision.tenant ?? "-") : "-") },
  { heading: "WHY", text: ({ outcome }) => (outcome.govern ? "" : outcome.reason) },
];

function describe({ facts, steps, outcome, dryRun, decision }: Explained): string {
  const verdict: Pair[] = outcome.govern
    ? [
        ["verdict", `govern as ${autoJobId(outcome.decision.target, facts.pid)}`],
        ["decided by", decision.rule === undefined ? "target_commands" : `rule ${decision.rule}`],
        ["tenant", outcome.decision.tenant ?? "none"],
      ]
    : [["verdict", `leave alone: ${outcome.reason}`]];
  return [
    renderPairs(factPairs(facts)),
    "",
    renderTable(STEP_COLUMNS, steps),
    "",
    renderPairs([...verdict, ...(dryRun ? dryRunPairs(dryRun) : [])]),
  ].join("\n");
}

const UNKNOWN = "not readable";

function factPairs(facts: ProcessFacts): Pair[] {
  return [
    ["pid", `${facts.pid}, parent ${facts.ppid}`],
    ["name", facts.names.comm],
    ["executable", facts.executable ?? UNKNOWN],
    ["arguments", facts.argv.join(" ") || UNKNOWN],
    ["user", `${facts.user ?? "unnamed"} (${facts.uid ?? UNKNOWN})`],
    ["group", `${facts.group ?? "unnamed"} (${facts.gid ?? UNKNOWN})`],
    ["directory", facts.cwd ?? UNKNOWN],
    ["started by", facts.ancestors.map(({ comm }) => comm).join(" < ") || "unknown"],
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

function dryRunPairs({ cgroups, outcomes, changes }: DryRun): Pair[] {
  return [
    ...cgroups.map((path): Pair => ["cgroup", path]),
    ...outcomes.map((outcome): Pair => [nameOfOutcome(outcome), outcomeText(outcome)]),
    ...changes.map((change): Pair => ["would", describeChange(change)]),
  ];
}

function outcomeText({ outcome, wanted, because }: LimitOutcome): string {
  const word = outcome === "applied" || outcome === "partial" ? wanted : `${wanted} would be ${outcome}`;
  return because === undefined ? word : `${word}; ${because}`;
}

/** Leaves out the environment, which may contain secrets; conditions on it show the values that they found. */
function explainedJson({ facts, steps, decision, outcome, dryRun }: Explained): Record<string, unknown> {
  return {
    pid: facts.pid,
    facts: {
      parent_pid: facts.ppid,
      comm: facts.names.comm,
      executable: facts.executable ?? null,
      argv: facts.argv,
      uid: facts.uid ?? null,
      user: facts.user ?? null,
      gid: facts.gid ?? null,
      group: facts.group ?? null,
      cwd: facts.cwd ?? null,
      ancestors: facts.ancestors.map(({ comm }) => comm),
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
    govern: outcome.govern,
    because: outcome.govern ? null : outcome.reason,
    job_id: outcome.govern ? autoJobId(outcome.decision.target, facts.pid) : null,
    would: dryRun ? dryRunJson(dryRun) : null,
  };
}

function dryRunJson({ cgroups, outcomes, changes }: DryRun): Record<string, unknown> {
  return {
    cgroups,
    outcomes,
    changes,
    writes: changes.flatMap((change) =>
      change.kind === "file-written" ? [{ path: change.path, data: change.after }] : [],
    ),
    attributes: changes.flatMap((change) => {
      if (change.kind !== "attribute-set") return [];
      const { attribute: limit, pid, tid, before: from, after: to } = change;
      return [{ limit, pid, tid, from, to }];
    }),
  };
}
