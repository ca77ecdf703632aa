import { type Random, randomFrom } from "./random.ts";

/** The planned end of a workload; `signal` without "SIG". */
export type PlannedEnd = { code: number } | { signal: string };

/**
 * The starter of a workload. With "watch" and "attach" the test starts it, and a governor finds it later.
 * With "neglect" its parent never waits for it.
 */
export type Origin = "run" | "run -d" | "attach" | "watch" | "neglect";

export interface Workload {
  id: string;
  origin: Origin;
  /** True when it has the name that `watch` searches for. */
  isTarget: boolean;
  /** "until-release": the workload runs until everything else has ended. */
  lifeMs: number | "until-release";
  end: PlannedEnd;
  /** The time that a child runs after the workload's end; `null` without a child. */
  childLifeMs: number | null;
  /** Flags of the ffrtmp that starts or attaches to it. */
  limits: string[];
}

/** The daemon, or the ffrtmp that starts or observes a workload. */
export type GovernorName = "watch" | `wrapper ${string}` | `observer ${string}`;

export type Action = { atMs: number } & (
  | { kind: "start"; workload: string }
  | { kind: "attach"; workload: string }
  | { kind: "detach"; workload: string }
  | { kind: "watch"; events: "auto" | "polling" }
  | { kind: "command"; args: string[] }
  | { kind: "signal"; governor: GovernorName; signal: SentSignal }
);

export type SentSignal = "SIGKILL" | "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGSTOP" | "SIGCONT";

/** Everything that happens in a round. The seed alone determines it. */
export interface Scenario {
  seed: number;
  workloads: Workload[];
  actions: Action[];
}

const DURATION_MS = 2500;
/** The time in which a governor is still starting. */
const STARTING_MS = 60;
const CODES = [0, 0, 0, 1, 2, 42, 125, 126, 127, 137, 143, 255];
const SIGNALS = ["KILL", "TERM", "INT", "HUP", "SEGV", "ABRT", "USR1", "PIPE"];
const LIMITS = [[], [], ["--cpu-weight", "50"], ["--memory-limit", "512"], ["--cpu-quota", "150"]];

export function makeScenario(seed: number): Scenario {
  const random = randomFrom(seed);
  const workloads: Workload[] = [];
  const actions: Action[] = [...watchActions(random)];
  for (let number = 1; number <= random.between(8, 12); number++) {
    const workload = makeWorkload(random, `w${number}`);
    workloads.push(workload);
    actions.push(...actionsOf(random, workload));
  }
  for (let commands = random.between(1, 3); commands > 0; commands--) {
    const args = random.oneOf([["ps"], ["history"], ["inspect", random.oneOf(workloads).id]]);
    actions.push({ atMs: random.between(0, DURATION_MS), kind: "command", args });
  }
  actions.sort((a, b) => a.atMs - b.atMs);
  return { seed, workloads, actions };
}

function makeWorkload(random: Random, id: string): Workload {
  const origin = random.oneOf<Origin>(["run", "run", "run -d", "attach", "watch", "watch", "neglect"]);
  const mayBeTarget = origin === "run" || origin === "run -d" || origin === "attach";
  return {
    id,
    origin,
    isTarget: mayBeTarget ? random.happens(0.5) : true,
    lifeMs: random.oneOf([
      random.between(0, 60),
      random.between(60, 500),
      random.between(500, 1500),
      "until-release" as const,
    ]),
    end: random.happens(0.6) ? { code: random.oneOf(CODES) } : { signal: random.oneOf(SIGNALS) },
    childLifeMs: random.happens(0.2) ? random.between(0, 800) : null,
    limits: random.oneOf(LIMITS),
  };
}

/** Returns the start of a workload, and the signals to its governor. */
function actionsOf(random: Random, { id, origin, lifeMs }: Workload): Action[] {
  const startMs = random.between(0, DURATION_MS * 0.8);
  const actions: Action[] = [{ atMs: startMs, kind: "start", workload: id }];
  const spanMs = lifeMs === "until-release" ? DURATION_MS : lifeMs;
  if (random.happens(0.1)) {
    actions.push({ atMs: startMs + random.between(0, spanMs + 100), kind: "detach", workload: id });
  }
  if (origin === "run" || origin === "run -d") {
    actions.push(...signalsTo(random, `wrapper ${id}`, startMs, spanMs));
  }
  if (origin === "attach") {
    const attachMs = startMs + random.between(0, Math.min(300, spanMs));
    actions.push({ atMs: attachMs, kind: "attach", workload: id });
    actions.push(...signalsTo(random, `observer ${id}`, attachMs, spanMs));
  }
  return actions;
}

function signalsTo(random: Random, governor: GovernorName, sinceMs: number, spanMs: number): Action[] {
  const atMs =
    sinceMs + (random.happens(0.4) ? random.between(0, STARTING_MS) : random.between(0, spanMs + 50));
  const deadly = random.happens(0.75) ? "SIGKILL" : random.oneOf(["SIGTERM", "SIGINT", "SIGHUP"] as const);
  const strike = (afterMs: number, signal: SentSignal): Action => ({
    atMs: atMs + afterMs,
    kind: "signal",
    governor,
    signal,
  });
  if (random.happens(0.4)) return [];
  if (!random.happens(0.2)) return [strike(0, deadly)];
  const frozenMs = random.between(20, 600);
  return [strike(0, "SIGSTOP"), strike(frozenMs, random.happens(0.5) ? "SIGCONT" : "SIGKILL")];
}

/** Returns starts and kills of the daemon until the end of the scenario. */
function watchActions(random: Random): Action[] {
  const actions: Action[] = [];
  let atMs = random.happens(0.6) ? 0 : random.between(0, DURATION_MS / 2);
  while (atMs < DURATION_MS) {
    actions.push({ atMs, kind: "watch", events: random.happens(0.25) ? "polling" : "auto" });
    atMs += random.happens(0.3) ? random.between(0, STARTING_MS) : random.between(60, 1200);
    if (random.happens(0.15)) {
      actions.push({ atMs, kind: "signal", governor: "watch", signal: "SIGSTOP" });
      atMs += random.between(20, 500);
    }
    const signal = random.happens(0.8) ? "SIGKILL" : random.oneOf(["SIGTERM", "SIGINT"] as const);
    actions.push({ atMs, kind: "signal", governor: "watch", signal });
    if (signal !== "SIGKILL") {
      actions.push({ atMs: atMs + 1, kind: "signal", governor: "watch", signal: "SIGCONT" });
    }
    atMs += random.between(2, 400);
  }
  return actions;
}
