import { type Random, randomFrom } from "./random.ts";

/** How a workload means to end: `signal` without "SIG". */
export type PlannedEnd = { code: number } | { signal: string };

/**
 * Who starts a workload. "watch" and "attach": we do, and a governor takes it up later; "neglect": a parent that
 * never collects it.
 */
export type Origin = "run" | "run -d" | "attach" | "watch" | "neglect";

export interface Workload {
  id: string;
  origin: Origin;
  /** Goes by the name that `watch` looks for. */
  isTarget: boolean;
  /** "released": it lives on until everything else is over. */
  lifeMs: number | "released";
  end: PlannedEnd;
  /** How long a child of it lives beyond its end; `null` without a child. */
  childLifeMs: number | null;
  /** Flags for the ffrtmp that begins to govern it. */
  limits: string[];
}

/** A governor by what it is for: the daemon, or the one that starts or observes a workload. */
export type GovernorName = "watch" | `wrapper ${string}` | `observer ${string}`;

export type Action = { atMs: number } & (
  | { kind: "begin"; workload: string }
  | { kind: "attach"; workload: string }
  | { kind: "detach"; workload: string }
  | { kind: "watch"; events: "auto" | "polling" }
  | { kind: "look"; args: string[] }
  | { kind: "strike"; governor: GovernorName; signal: StrikeSignal }
);

export type StrikeSignal = "SIGKILL" | "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGSTOP" | "SIGCONT";

/** All that a seed determines: nothing is decided later. */
export interface Scenario {
  seed: number;
  workloads: Workload[];
  actions: Action[];
}

const DURATION_MS = 2500;
/** In which a governor is still busy with beginning. */
const BEGINNING_MS = 60;
const CODES = [0, 0, 0, 1, 2, 42, 125, 126, 127, 137, 143, 255];
const SIGNALS = ["KILL", "TERM", "INT", "HUP", "SEGV", "ABRT", "USR1", "PIPE"];
const LIMITS = [[], [], ["--cpu-weight", "50"], ["--memory-limit", "512"], ["--cpu-quota", "150"]];

export function makeScenario(seed: number): Scenario {
  const random = randomFrom(seed);
  const workloads: Workload[] = [];
  const actions: Action[] = [...watchLives(random)];
  for (let number = 1; number <= random.between(8, 12); number++) {
    const workload = makeWorkload(random, `w${number}`);
    workloads.push(workload);
    actions.push(...fateOf(random, workload));
  }
  for (let looks = random.between(1, 3); looks > 0; looks--) {
    const args = random.oneOf([["ps"], ["history"], ["inspect", random.oneOf(workloads).id]]);
    actions.push({ atMs: random.between(0, DURATION_MS), kind: "look", args });
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
      "released" as const,
    ]),
    end: random.happens(0.6) ? { code: random.oneOf(CODES) } : { signal: random.oneOf(SIGNALS) },
    childLifeMs: random.happens(0.2) ? random.between(0, 800) : null,
    limits: random.oneOf(LIMITS),
  };
}

/** The beginning of a workload, and what becomes of its governor. */
function fateOf(random: Random, { id, origin, lifeMs }: Workload): Action[] {
  const beginMs = random.between(0, DURATION_MS * 0.8);
  const actions: Action[] = [{ atMs: beginMs, kind: "begin", workload: id }];
  const spanMs = lifeMs === "released" ? DURATION_MS : lifeMs;
  if (random.happens(0.1)) {
    actions.push({ atMs: beginMs + random.between(0, spanMs + 100), kind: "detach", workload: id });
  }
  if (origin === "run" || origin === "run -d") {
    actions.push(...strikes(random, `wrapper ${id}`, beginMs, spanMs));
  }
  if (origin === "attach") {
    const attachMs = beginMs + random.between(0, Math.min(300, spanMs));
    actions.push({ atMs: attachMs, kind: "attach", workload: id });
    actions.push(...strikes(random, `observer ${id}`, attachMs, spanMs));
  }
  return actions;
}

function strikes(random: Random, governor: GovernorName, sinceMs: number, spanMs: number): Action[] {
  const atMs =
    sinceMs + (random.happens(0.4) ? random.between(0, BEGINNING_MS) : random.between(0, spanMs + 50));
  const deadly = random.happens(0.75) ? "SIGKILL" : random.oneOf(["SIGTERM", "SIGINT", "SIGHUP"] as const);
  const strike = (afterMs: number, signal: StrikeSignal): Action => ({
    atMs: atMs + afterMs,
    kind: "strike",
    governor,
    signal,
  });
  if (random.happens(0.4)) return [];
  if (!random.happens(0.2)) return [strike(0, deadly)];
  const frozenMs = random.between(20, 600);
  return [strike(0, "SIGSTOP"), strike(frozenMs, random.happens(0.5) ? "SIGCONT" : "SIGKILL")];
}

/** The daemon begins, is ended and begins again, until the time is over. */
function watchLives(random: Random): Action[] {
  const actions: Action[] = [];
  let atMs = random.happens(0.6) ? 0 : random.between(0, DURATION_MS / 2);
  while (atMs < DURATION_MS) {
    actions.push({ atMs, kind: "watch", events: random.happens(0.25) ? "polling" : "auto" });
    atMs += random.happens(0.3) ? random.between(0, BEGINNING_MS) : random.between(60, 1200);
    if (random.happens(0.15)) {
      actions.push({ atMs, kind: "strike", governor: "watch", signal: "SIGSTOP" });
      atMs += random.between(20, 500);
    }
    const signal = random.happens(0.8) ? "SIGKILL" : random.oneOf(["SIGTERM", "SIGINT"] as const);
    actions.push({ atMs, kind: "strike", governor: "watch", signal });
    if (signal !== "SIGKILL") {
      actions.push({ atMs: atMs + 1, kind: "strike", governor: "watch", signal: "SIGCONT" });
    }
    atMs += random.between(2, 400);
  }
  return actions;
}
