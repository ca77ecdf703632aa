import { Database } from "bun:sqlite";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { resolve } from "node:path";
import { isRunning, lacksLimits, type Sandbox } from "../support/sandbox.ts";
import type { Facts, JobFacts, OwnRecord, WorkloadFacts } from "./facts.ts";
import { endOf, Governors } from "./governors.ts";
import type { Action, Scenario, Workload } from "./scenario.ts";

const WORKLOAD = resolve(import.meta.dir, "workload.pl");
const NEGLECT = resolve(import.meta.dir, "neglect.pl");
const SCAN_INTERVAL_MS = 50;
/** A condition that does not become true in this time is a violation. */
const TIMEOUT_MS = 30_000;

/** Runs a scenario on the real machine until everything has ended, and returns the observations. */
export async function play(sandbox: Sandbox, scenario: Scenario): Promise<Facts> {
  const round = new Round(sandbox, scenario);
  await round.act();
  await round.settle();
  return round.facts();
}

class Round {
  readonly #sandbox: Sandbox;
  readonly #scenario: Scenario;
  readonly #governors: Governors;
  readonly #target: string;
  readonly #children = new Map<string, Bun.Subprocess>();
  readonly #detachRequested = new Set<string>();
  readonly #mustBeGoverned = new Set<string>();
  readonly #wasObserved = new Map<string, boolean>();
  readonly #timedOut: string[] = [];
  #cgroupsLeft: string[] = [];

  constructor(sandbox: Sandbox, scenario: Scenario) {
    this.#sandbox = sandbox;
    this.#scenario = scenario;
    this.#governors = new Governors(sandbox);
    this.#target = `wk-${sandbox.tag}`;
    for (const name of ["bin", "records", "cwd"]) mkdirSync(sandbox.path(name));
    const perl = realpathSync(Bun.which("perl") ?? "perl");
    for (const name of [this.#target, "other"]) symlinkSync(perl, sandbox.path(`bin/${name}`));
  }

  async act(): Promise<void> {
    const startMs = performance.now();
    const scanning = setInterval(() => this.#scan(), SCAN_INTERVAL_MS);
    for (const action of this.#scenario.actions) {
      const wait = startMs + action.atMs - performance.now();
      if (wait > 0) await Bun.sleep(wait);
      this.#do(action);
    }
    clearInterval(scanning);
  }

  /** Kills nothing from here on. All running targets have to be governed and observed, and then end. */
  async settle(): Promise<void> {
    this.#governors.thawAll();
    await this.#wait("a daemon runs", () => this.#ensureWatch());
    const living = this.#scenario.workloads.filter(({ id }) => this.#livingPid(id) !== undefined);
    for (const { id, isTarget } of living) {
      if (isTarget && !this.#detachRequested.has(id)) this.#mustBeGoverned.add(id);
    }
    await this.#wait("every running target is governed", () =>
      [...this.#mustBeGoverned].every(
        (id) => this.#livingPid(id) === undefined || this.#jobsOf(id).length > 0,
      ),
    );
    await this.#wait("every running job is observed", () =>
      living.every(({ id }) => {
        const pid = this.#livingPid(id);
        const isOpen = this.#jobsOf(id).some(({ state }) => state !== "ended");
        // The workload may have ended or been detached meanwhile.
        this.#wasObserved.delete(id);
        if (pid === undefined || !isOpen) return true;
        this.#wasObserved.set(id, this.#governors.isObserved(pid));
        return this.#wasObserved.get(id);
      }),
    );
    await this.#wait("every open job has a running observer", () =>
      this.#readJobs().every(
        ({ state, observerPid }) => state === "ended" || (observerPid !== null && isRunning(observerPid)),
      ),
    );
    this.#scan();
    // The time of an announcement is that of the file system, which is up to one tick of the kernel behind.
    await Bun.sleep(SCAN_INTERVAL_MS);
    writeFileSync(this.#sandbox.path("release"), "");
    await this.#wait("every workload has ended", () => this.#unfinished().length === 0);
    await this.#wait("every job has its result", () =>
      this.#readJobs().every(({ result }) => result !== null),
    );
    writeFileSync(this.#sandbox.path("done"), "");
    await this.#wait("every observer has ended", () => this.#governors.observers().length === 0);
    await this.#wait("the daemon has removed every cgroup", () => this.#sandbox.cgroups().length === 0);
    this.#cgroupsLeft = this.#sandbox.cgroups();
    this.#governors.signal("watch", "SIGTERM");
    await this.#wait("the daemon has ended", () => this.#governors.isGone("watch"));
    await Promise.all([...this.#children.values()].map(({ exited }) => exited));
  }

  facts(): Facts {
    const db = this.#openLedger();
    const integrity = db.query<{ integrity_check: string }, []>("PRAGMA integrity_check").all();
    db.close();
    return {
      workloads: this.#scenario.workloads.map((plan) => this.#factsOf(plan)),
      governors: this.#governors.facts(),
      jobs: this.#readJobs(),
      hasCgroups: lacksLimits() === undefined,
      cgroupsLeft: this.#cgroupsLeft,
      integrity: integrity.map((row) => row.integrity_check).join("; "),
      timedOut: this.#timedOut,
    };
  }

  #do(action: Action): void {
    if (action.kind === "start") this.#startWorkload(this.#workload(action.workload));
    else if (action.kind === "attach") this.#attach(this.#workload(action.workload));
    else if (action.kind === "watch") this.#watch(action.events);
    else if (action.kind === "detach") this.#detach(action.workload);
    else if (action.kind === "command")
      this.#sandbox.start(action.args, { stdout: "ignore", stderr: "ignore" });
    else {
      this.#scan();
      this.#governors.signal(action.governor, action.signal);
    }
  }

  #startWorkload(workload: Workload): void {
    const { id, origin, limits } = workload;
    const command = this.#command(workload);
    const cwd = this.#sandbox.path("cwd");
    if (origin === "run" || origin === "run -d") {
      const flags = origin === "run" ? [] : ["-d"];
      this.#governors.start(
        `wrapper ${id}`,
        ["run", ...flags, "--job-id", id, ...limits, "--", ...command],
        cwd,
      );
      return;
    }
    const full = origin === "neglect" ? ["perl", NEGLECT, this.#sandbox.path("done"), ...command] : command;
    const child = this.#sandbox.spawn(full, { cwd, stdout: "ignore", stderr: "inherit" as never });
    this.#children.set(id, child);
  }

  #command({ id, isTarget, lifeMs, end, childLifeMs }: Workload): string[] {
    const [how, value] = "code" in end ? ["code", end.code] : ["signal", end.signal];
    const program = this.#sandbox.path(`bin/${isTarget ? this.#target : "other"}`);
    const release = this.#sandbox.path("release");
    const words = [
      program,
      WORKLOAD,
      this.#recordPath(id),
      lifeMs,
      how,
      value,
      release,
      childLifeMs ?? "none",
    ];
    return words.map(String);
  }

  #attach({ id, limits }: Workload): void {
    const pid = this.#children.get(id)?.pid;
    const child = this.#children.get(id);
    if (pid === undefined || child?.exitCode !== null || child.signalCode !== null) return;
    this.#governors.start(`observer ${id}`, ["attach", "--pid", String(pid), "--job-id", id, ...limits]);
  }

  #watch(events: "auto" | "polling"): void {
    const args = ["watch", "--target", this.#target, "--scan-interval", "500ms", "--cpu-weight", "90"];
    this.#governors.start("watch", [...args, "--events", events]);
  }

  #detach(id: string): void {
    this.#detachRequested.add(id);
    const started = this.#own(id).started;
    const jobId = this.#jobsOf(id)[0]?.jobId;
    if (!started || jobId === undefined) return;
    this.#sandbox.start(["detach", jobId], { stdout: "ignore", stderr: "ignore" });
  }

  #scan(): void {
    const background = this.#scenario.workloads.filter(({ origin }) => origin === "run -d");
    this.#governors.findBackground(background.map(({ id }) => id));
    this.#governors.scan();
  }

  #ensureWatch(): boolean {
    if (this.#governors.isUp("watch")) return true;
    // A daemon that was signalled may still be ending, and has the lock until then.
    if (this.#governors.isGone("watch")) this.#watch("auto");
    return false;
  }

  #unfinished(): string[] {
    return this.#scenario.workloads.flatMap(({ id }) =>
      [id, `${id}.child`].filter((name) => {
        const { started, announcedEnd } = this.#own(name);
        if (!started) return false;
        this.#sandbox.adopt(started.pid);
        // A process without an announced end was killed, which the judge reports.
        return announcedEnd === null && isRunning(started.pid, started.startTicks);
      }),
    );
  }

  #livingPid(id: string): number | undefined {
    const { started, announcedEnd } = this.#own(id);
    if (!started || announcedEnd || !isRunning(started.pid, started.startTicks)) return undefined;
    return started.pid;
  }

  #jobsOf(id: string): JobFacts[] {
    const started = this.#own(id).started;
    return this.#readJobs().filter(
      ({ pid, startTicks }) => started && pid === started.pid && startTicks === started.startTicks,
    );
  }

  #factsOf(plan: Workload): WorkloadFacts {
    const { id, origin, childLifeMs } = plan;
    const child = this.#children.get(id);
    const starters = this.#governors.facts().filter(({ name }) => name === `wrapper ${id}`);
    const isStartedByUs = origin !== "run" && origin !== "run -d";
    return {
      plan,
      mustStart:
        isStartedByUs || (starters.length > 0 && starters.every(({ signals }) => signals.length === 0)),
      own: this.#own(id),
      child: childLifeMs === null ? null : this.#own(`${id}.child`),
      endSeenByParent: child && origin !== "neglect" ? endOf(child) : null,
      mustBeGoverned: this.#mustBeGoverned.has(id),
      wasObservedAtRelease: this.#wasObserved.get(id) ?? null,
      detachRequested: this.#detachRequested.has(id),
    };
  }

  #own(name: string): OwnRecord {
    const own: OwnRecord = { started: null, receivedSignals: [], announcedEnd: null };
    const path = this.#recordPath(name);
    if (!existsSync(path)) return own;
    const atMs = statSync(path).mtimeMs;
    for (const line of readFileSync(path, "utf8").split("\n")) {
      const [verb, first = "", second = ""] = line.split(" ");
      if (verb === "started") own.started = { pid: Number(first), startTicks: Number(second) };
      else if (verb === "received") own.receivedSignals.push(first);
      else if (verb === "ending" && first === "code")
        own.announcedEnd = { code: Number(second), signal: null, atMs };
      else if (verb === "ending") own.announcedEnd = { code: null, signal: `SIG${second}`, atMs };
    }
    return own;
  }

  #recordPath(name: string): string {
    return this.#sandbox.path(`records/${name}`);
  }

  #workload(id: string): Workload {
    return this.#scenario.workloads.find((workload) => workload.id === id) as Workload;
  }

  #openLedger(): Database {
    const db = new Database(`${this.#sandbox.state}/ledger.db`, { readwrite: true, create: false });
    db.run("PRAGMA busy_timeout = 5000");
    return db;
  }

  #readJobs(): JobFacts[] {
    if (!existsSync(`${this.#sandbox.state}/ledger.db`)) return [];
    const db = this.#openLedger();
    // The first ffrtmp may still be creating the tables.
    const isMade = db.query("SELECT 1 FROM sqlite_master WHERE name = 'results'").get() !== null;
    const sql = `SELECT *,
      EXISTS (SELECT 1 FROM events WHERE events.key = jobs.key AND kind = 'handed_over') AS handed_over,
      (SELECT group_concat(detail ->> 'observer_pid') FROM events
        WHERE events.key = jobs.key AND kind = 'adopted') AS adopted_by
      FROM jobs LEFT JOIN results USING (key) ORDER BY key`;
    const rows = isMade ? db.query<Row, []>(sql).all() : [];
    db.close();
    return rows.map(toFacts);
  }

  async #wait(what: string, isTrue: () => boolean | undefined): Promise<void> {
    const startMs = performance.now();
    while (!isTrue()) {
      if (performance.now() - startMs > TIMEOUT_MS) {
        this.#timedOut.push(what);
        return;
      }
      await Bun.sleep(SCAN_INTERVAL_MS);
    }
  }
}

interface Row {
  job_id: string;
  mode: string;
  state: string;
  pid: number | null;
  start_ticks: number | null;
  started_ms: number | null;
  observer_pid: number | null;
  handed_over: number;
  /** `812,820` */
  adopted_by: string | null;
  ending: string | null;
  exit_code: number | null;
  signal: string | null;
  exit_evidence: string | null;
  exit_unknown_because: string | null;
  end_ms: number;
}

function toFacts(row: Row): JobFacts {
  const result =
    row.ending === null
      ? null
      : {
          ending: row.ending,
          exitCode: row.exit_code,
          signal: row.signal,
          evidence: row.exit_evidence,
          because: row.exit_unknown_because,
          endMs: row.end_ms,
        };
  return {
    jobId: row.job_id,
    mode: row.mode,
    state: row.state,
    pid: row.pid,
    startTicks: row.start_ticks,
    startedMs: row.started_ms,
    observerPid: row.observer_pid,
    handedOver: row.handed_over === 1,
    adoptedBy: (row.adopted_by ?? "").split(",").filter(Boolean).map(Number),
    result,
  };
}
