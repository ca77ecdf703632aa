import { basename, dirname } from "node:path";
import { intentLimits, isIntent } from "../../limits/intents.ts";
import { type LimitOutcome, onlyPartly } from "../../limits/outcome.ts";
import { readText } from "../../linux/cgroup/file.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { listThreadsBelow } from "../../linux/cgroup/members.ts";
import { restoreFile } from "../../linux/cgroup/ownerFiles.ts";
import { weightFileOf } from "../../linux/cgroup/weightFile.ts";
import type { CgroupFs } from "../../linux/cgroupFs.ts";
import { type Change, changeKey, type FileWritten, isGate } from "../../linux/change.ts";
import { describeErrno, errnoOf } from "../../sys/errno.ts";
import { withGates } from "../changes.ts";
import type { Context } from "../context.ts";
import { withGateLock } from "../gateLock.ts";
import { limitsInForce } from "../job.ts";
import type { RunningJob } from "../model/job.ts";
import { jobCgroupOf } from "../placement/jobCgroup.ts";
import { type ClosedGate, type Gate, planGates, type SharingJob } from "./gatePlan.ts";

/**
 * Makes the weights of batch jobs count against live jobs that are elsewhere in the tree of cgroups: writes them to the gates
 * that hold nothing else, restores the gates that are no longer needed or hold others now, and says in the outcomes of the
 * jobs where a gate is closed. Returns the jobs whose record has changed, and `"busy"` while another process does the same: what
 * it knew of the jobs may be older, so call it again. Safe to call at any time.
 */
export function applyGates(context: Context): RunningJob[] | "busy" {
  const listJobs = () => context.ledger.openJobsWithIntent().filter((job) => job.state === "running");
  if (listJobs().length === 0) return [];
  // Read the record under the lock: another process may have written the file, and only the record has the owner's value.
  return withGateLock(context, () => new GateKeeper(context, listJobs()).apply());
}

const TURN_TIMEOUT_MS = 2000;
const TURN_RETRY_MS = 5;

/** Does the same as soon as no other process does it. */
export async function applyGatesInTurn(context: Context): Promise<RunningJob[]> {
  const startMs = performance.now();
  while (performance.now() - startMs < TURN_TIMEOUT_MS) {
    const changed = applyGates(context);
    if (changed !== "busy") return changed;
    await Bun.sleep(TURN_RETRY_MS);
  }
  context.warn(
    `another ffrtmp has locked ${context.state.gateLock} for ${TURN_TIMEOUT_MS / 1000} s: weights of cgroups around jobs are left to ffrtmp watch`,
  );
  return [];
}

/** Returns whether a batch job competes with live jobs by a weight that is not its own, as `applyGates` has found last. */
export function hasClosedGate({ intent, outcomes }: RunningJob): boolean {
  return (
    isIntent(intent) &&
    intent !== "live" &&
    outcomes.some(
      ({ limit, of, outcome, because }) =>
        of === undefined &&
        (limit === "cpu.weight" || limit === "cpu.idle") &&
        outcome === "partial" &&
        because.includes(COUNTS_INSIDE),
    )
  );
}

/** The note of the ledger that says whether the policy of `watch` gives intents a meaning. Absent: it does not. */
const POLICY_INTENTS = "policy_intents";

/** Records that for each process that calls `applyGates`: to jobs of a policy without `intents`, an intent is only a word. */
export function recordPolicyIntents({ ledger }: Context, hasIntents: boolean): void {
  const text = JSON.stringify(hasIntents);
  if ((ledger.note(POLICY_INTENTS) ?? "false") !== text) ledger.setNote(POLICY_INTENTS, text);
}

class GateKeeper {
  readonly #context: Context;
  readonly #fs: CgroupFs;
  readonly #before: ReadonlyMap<string, RunningJob>;
  readonly #jobs: Map<string, RunningJob>;

  constructor(context: Context, jobs: readonly RunningJob[]) {
    this.#context = context;
    this.#fs = context.host.cgroupFs;
    this.#before = new Map(jobs.map((job) => [job.key, job]));
    this.#jobs = new Map(this.#before);
  }

  apply(): RunningJob[] {
    const hasPolicyIntents = this.#context.ledger.note(POLICY_INTENTS) === "true";
    const meant = [...this.#jobs.values()].filter(({ mode }) => mode !== "watch" || hasPolicyIntents);
    const sharing = meant.flatMap((job) => this.#shareOf(job) ?? []);
    const { gates, closed } = planGates(sharing, (gate, batch) => holdsOthers(this.#fs, gate, batch));
    const wanted = new Set(gates.map((gate) => changeKey(this.#changeOf(gate, ""))));
    for (const change of this.#recorded())
      if (!wanted.has(changeKey(change)) && !isOwners(change)) this.#release(change);
    for (const gate of gates) {
      const because = this.#write(gate);
      if (because === undefined) continue;
      for (const key of gate.keys) closed.set(key, [...(closed.get(key) ?? []), { ...gate, because }]);
    }
    for (const { key, isLive, path } of sharing) if (!isLive) this.#report(key, path, closed.get(key) ?? []);
    return [...this.#jobs.values()].filter((job) => job !== this.#before.get(job.key));
  }

  #shareOf(job: RunningJob): SharingJob | undefined {
    const { intent } = job;
    const { cpuWeight, cpuIdle } = limitsInForce(job);
    // An intent without its limits is only a word.
    if (!isIntent(intent) || (cpuWeight ?? cpuIdle) === undefined) return undefined;
    const place = sharePlace(jobCgroupOf(this.#context, job));
    const weight = cpuWeight ?? intentLimits("batch", false).cpuWeight ?? 1;
    return place && { key: job.key, isLive: intent === "live", weight, ...place };
  }

  #changeOf({ hierarchy, path }: Pick<Gate, "hierarchy" | "path">, before: string): FileWritten {
    const file = `${path}/${this.#weightFile(path).file}`;
    return { kind: "file-written", hierarchy, path: file, before, after: null, isGate: true };
  }

  /** Returns the gates in the journals of all jobs, each once. */
  #recorded(): FileWritten[] {
    const gates = [...this.#jobs.values()].flatMap(({ changes }) => changes.filter(isGate));
    return [...new Map(gates.map((change) => [change.path, change])).values()];
  }

  /** Records first that the file may have either value: after a death in between, the gate can be written again. */
  #release(change: FileWritten): void {
    if (change.after !== null && readText(this.#fs, change.path) === change.after)
      for (const job of this.#holders(change)) this.#setGate(job, change.path, { ...change, after: null });
    const failure = restoreFile(this.#fs, change);
    if (failure !== undefined) {
      this.#context.warn(`the weight of a cgroup could not be restored: ${failure}`);
      return;
    }
    for (const job of this.#holders(change)) this.#setGate(job, change.path, undefined);
  }

  #holders({ path }: FileWritten): RunningJob[] {
    return [...this.#jobs.values()].filter(({ changes }) =>
      changes.some((change) => isGate(change) && change.path === path),
    );
  }

  /** Returns why the gate has a larger weight than it should. */
  #write(gate: Gate): string | undefined {
    const known = this.#recorded().find(({ path }) => dirname(path) === gate.path);
    const { path } = known ?? this.#changeOf(gate, "");
    const current = readText(this.#fs, path);
    // v2: without the controller, the cgroups there do not compete by weight.
    if (current === undefined) return undefined;
    const { file, toText, fromText } = this.#weightFile(gate.path);
    const text = toText(gate.weight);
    const isLow = (value: string): boolean => fromText(value) <= gate.weight;
    const isOwnersLower = isLow(known?.before ?? current);
    if (known !== undefined && (isOwners(known) || (known.after !== null && known.after !== current))) {
      // Its owner, or an operator, has changed ours since, and means it.
      this.#join(gate, { ...known, before: current, after: current });
      return isLow(current) ? undefined : `its ${file} was changed from outside`;
    }
    if (known !== undefined && current === text) this.#join(gate, { ...known, after: current });
    else if (isOwnersLower && known !== undefined) this.#release(known);
    else if (!isOwnersLower && !this.#fs.isWritable(path)) return `this ffrtmp may not write its ${file}`;
    else if (!isOwnersLower)
      return this.#put(gate, { ...(known ?? this.#changeOf(gate, current)), after: null }, text);
    return undefined;
  }

  /** Records the gate first: after a death in between, it is restored all the same. Returns what the kernel refused. */
  #put(gate: Gate, change: FileWritten, text: string): string | undefined {
    this.#join(gate, change);
    try {
      this.#fs.write(change.path, text);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      this.#release(change);
      return `"${text}" to its ${basename(change.path)} was refused: ${describeErrno(error)}`;
    }
    const written = { ...change, after: readText(this.#fs, change.path) ?? null };
    this.#join(gate, written);
    // The last job that it is for has ended since the record, and was undone before the write.
    if (this.#holders(change).length === 0) restoreFile(this.#fs, written);
    return undefined;
  }

  #join(gate: Gate, change: FileWritten): void {
    for (const job of this.#jobs.values())
      this.#setGate(job, change.path, gate.keys.includes(job.key) ? change : undefined);
  }

  /** Reads the record of the job again before it is changed. A job that has ended is left out from then on. */
  #setGate(seen: RunningJob, path: string, gate: FileWritten | undefined): void {
    const withGate = ({ changes }: RunningJob): Change[] => {
      const others = changes.filter(isGate).filter((change) => change.path !== path);
      return withGates(changes, gate ? [...others, gate] : others);
    };
    if (Bun.deepEquals(withGate(seen), seen.changes)) return;
    const { ledger } = this.#context;
    const current = ledger.job(seen.key);
    const job = current?.state === "running" ? ledger.recordGates(current, withGate(current)) : undefined;
    if (job === undefined) this.#jobs.delete(seen.key);
    else this.#jobs.set(job.key, job);
  }

  #report(key: string, leaf: string, closed: readonly ClosedGate[]): void {
    const job = this.#jobs.get(key);
    if (job === undefined) return;
    const reason = closed.length === 0 ? undefined : this.#describe(leaf, closed);
    const outcomes = job.outcomes.map((outcome) =>
      outcome.of === undefined && (outcome.limit === "cpu.weight" || outcome.limit === "cpu.idle")
        ? withReason(outcome, reason)
        : outcome,
    );
    if (Bun.deepEquals(outcomes, [...job.outcomes])) return;
    this.#jobs.set(key, this.#context.ledger.recordOutcomes(job, outcomes));
  }

  #describe(leaf: string, closed: readonly ClosedGate[]): string {
    const weightOf = (path: string): number => {
      const { file, fromText } = this.#weightFile(path);
      return fromText(readText(this.#fs, `${path}/${file}`) ?? "");
    };
    const [worst] = closed
      .map((each) => ({
        ...each,
        part: weightOf(each.path) / (weightOf(each.path) + weightOf(each.rival)),
      }))
      .sort((a, b) => b.part - a.part);
    const [inside, gate] = [basename(dirname(leaf)), basename(worst?.path ?? "")];
    const percent = Math.round(100 * (worst?.part ?? 0));
    const takes = Number.isNaN(percent) ? "competes" : percent === 50 ? "takes half" : `takes ${percent} %`;
    const who = inside === gate ? "which" : gate;
    return `${COUNTS_INSIDE}${inside} only${inside === gate ? "," : ";"} ${who} still ${takes} beside live jobs: ${worst?.because ?? HOLDS_OTHERS}`;
  }

  /** `path` is that of a cgroup. */
  #weightFile(path: string) {
    return weightFileOf(
      this.#context.hierarchies.find(({ mountPoint }) => path.startsWith(`${mountPoint}/`)),
    );
  }
}

const COUNTS_INSIDE = "counts inside ";
const HOLDS_OTHERS = "it holds other processes (use --placement scope, or a slice with CPUWeight=1)";

/** Its owner has changed what was written, and keeps the gate: nothing is left to restore. */
function isOwners({ before, after }: FileWritten): boolean {
  return before === after;
}

function withReason(outcome: LimitOutcome, reason: string | undefined): LimitOutcome {
  const [others = ""] = (outcome.because ?? "").split(new RegExp(`(?:^|; )${COUNTS_INSIDE}`));
  const stripped = { ...outcome, because: others };
  if (others === outcome.because || outcome.because === undefined)
    return reason === undefined ? outcome : onlyPartly(outcome, reason);
  if (stripped.outcome === "partial" && (others === "" || others.startsWith("not written"))) {
    const { because: _, ...rest } = stripped;
    const applied = { ...rest, outcome: "applied" as const, ...(others && { because: others }) };
    return reason === undefined ? applied : onlyPartly(applied, reason);
  }
  return reason === undefined ? stripped : onlyPartly(stripped, reason);
}

/** Returns the cgroup with the job's weight: its own, or the carrier around it. */
function sharePlace({ directories }: JobCgroup): Pick<SharingJob, "hierarchy" | "path"> | undefined {
  const cpu = directories.find(({ controllers }) => controllers.some(({ name }) => name === "cpu"));
  return cpu && { hierarchy: cpu.hierarchy.key, path: cpu.carrier ?? cpu.path };
}

/** Returns whether a cgroup has a thread that is in no cgroup of a batch job. */
function holdsOthers(fs: CgroupFs, gate: string, batch: ReadonlySet<string>): boolean {
  return listThreadsBelow(fs, gate, batch).length > 0;
}
