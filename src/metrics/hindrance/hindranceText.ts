import { formatDuration } from "../../jobs/duration.ts";
import type { Verdict } from "../../jobs/model/hindered.ts";
import type { BindingLimit, Hindrance } from "./hindrance.ts";
import { type Evidence, isReadingAgain } from "./judge.ts";

/** The verdicts in one or two words, for a column. */
const SHORT_TEXTS: Readonly<Record<Verdict, string>> = {
  own_limit: "own limit",
  neighbours: "neighbours",
  memory: "memory",
  io: "disks",
  receiver: "receiver",
  source: "source",
  gpu: "GPU",
  itself: "itself",
};

/** Returns `own limit (needs 2.4 cores)`, `receiver`, …, or `-`. */
export function shortHindranceText(hindrance: Hindrance | null): string {
  if (hindrance === null) return "-";
  const { verdict, neededCores } = hindrance;
  const need = verdict === "own_limit" && neededCores !== null ? ` (needs ${coresText(neededCores)})` : "";
  return `${SHORT_TEXTS[verdict]}${need}`;
}

/**
 * Returns what holds a job back in plain words, to follow its name: `held back by its own CPU quota for 3m10s; raise it
 * to about 2.4 cores`.
 */
export function hindranceText(hindrance: Hindrance): string {
  const cause = `${CAUSES[hindrance.verdict](hindrance)} for ${formatDuration(hindrance.forMs)}`;
  const remedy = REMEDIES[hindrance.verdict]?.(hindrance);
  return remedy === undefined ? cause : `${cause}; ${remedy}`;
}

const CAUSES: Record<Verdict, (hindrance: Hindrance) => string> = {
  own_limit: ({ limit }) => `held back by ${QUOTAS[limit?.of ?? "job"]}`,
  neighbours: ({ evidence }) =>
    `waits for CPUs that others use (${percent(evidence.cpuPressurePercent)} of the time)`,
  memory: ({ evidence, limit }) => `${memoryText(evidence)}${at(limit)}`,
  io: ({ evidence, limit }) => `waits for disks (${percent(evidence.ioFullPercent)} of the time)${at(limit)}`,
  receiver: () => "its receiver takes less than it sends",
  source: () => "its input arrives too slowly",
  gpu: ({ evidence }) =>
    `waits for the encoder or decoder of its GPU (${percent(evidence.gpuPercent)} in use)`,
  itself: () => "too slow by itself",
};

const QUOTAS: Record<BindingLimit["of"], string> = {
  job: "its own CPU quota",
  tenant: "the CPU quota of its tenant",
  governor: "the headroom governor",
};

const REMEDIES: Partial<Record<Verdict, (hindrance: Hindrance) => string | undefined>> = {
  own_limit: raiseIt,
  receiver: ({ evidence: { sendBacklogSeconds: seconds } }) =>
    seconds === null || seconds < 1 ? undefined : `${seconds.toFixed(1)} s wait to be sent`,
  neighbours: moreThanThereIs,
  itself: moreThanThereIs,
};

/** A quota stops a job whose use rises and falls although it has enough on average: then the average says not how much. */
function raiseIt({ neededCores, limit, evidence: { availableCores } }: Hindrance): string | undefined {
  if (neededCores === null || (limit !== null && limit.of !== "job")) return undefined;
  const isEnoughOnAverage = limit !== null && availableCores !== null && neededCores <= availableCores;
  return isEnoughOnAverage ? "raise it" : `raise it to about ${coresText(neededCores)}`;
}

function memoryText(evidence: Evidence): string {
  const { memoryFullPercent, ioFullPercent } = evidence;
  if (!isReadingAgain(evidence) || (memoryFullPercent ?? 0) > (ioFullPercent ?? 0))
    return `waits for memory (${percent(memoryFullPercent)} of the time)`;
  return `reads again what its memory has no room for (${percent(ioFullPercent)} of the time)`;
}

function moreThanThereIs({ neededCores, evidence: { availableCores } }: Hindrance): string | undefined {
  return neededCores !== null && availableCores !== null && neededCores > availableCores
    ? `it needs about ${coresText(neededCores)} and can have ${coresText(availableCores)}`
    : undefined;
}

/** Returns `2.4 cores`, and below one `0.14 cores`. */
function coresText(cores: number): string {
  const text = cores.toFixed(cores < 0.95 ? 2 : 1);
  return `${text} ${text === "1.0" ? "core" : "cores"}`;
}

function at(limit: Hindrance["limit"]): string {
  return limit === null ? "" : ` at its own ${limit.name}`;
}

function percent(value: number | null): string {
  return `${(value ?? 0).toFixed(0)} %`;
}
