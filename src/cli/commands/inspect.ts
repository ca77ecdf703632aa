import { carriedOf } from "../../jobs/changes.ts";
import type { Context } from "../../jobs/context.ts";
import { formatDuration } from "../../jobs/duration.ts";
import { Refusal } from "../../jobs/errors.ts";
import { eventJson } from "../../jobs/json.ts";
import { MAX_COMMAND_BYTES } from "../../jobs/model/command.ts";
import { factsOfEnding, type JobResult } from "../../jobs/model/ending.ts";
import { isOpen, type Job, observerOf, startedMsOf } from "../../jobs/model/job.ts";
import type { RecordedEvent } from "../../jobs/model/jobEvent.ts";
import { whyMemoryIsPartial } from "../../jobs/model/memoryCharge.ts";
import { outcomeOf } from "../../jobs/model/outcome.ts";
import { governedTimeOf, runtimeOf } from "../../jobs/model/runtime.ts";
import { type ShownCommand, shownCommand, trueCommand } from "../../jobs/model/secrets.ts";
import { jobCgroupOf, usageOf } from "../../jobs/placement/jobCgroup.ts";
import { isObserved } from "../../jobs/recovery/recover.ts";
import { exitText, markOf } from "../../jobs/summary.ts";
import { inspectedJobJson } from "../../json/inspectedJob.ts";
import { formatChange } from "../../limits/limits.ts";
import { LIMIT_NAMES } from "../../limits/table.ts";
import type { Usage } from "../../limits/usage.ts";
import { listMembers } from "../../linux/cgroup/jobCgroup.ts";
import type { Host } from "../../linux/host.ts";
import type { Hindrance } from "../../metrics/hindrance/hindrance.ts";
import { hindranceText } from "../../metrics/hindrance/hindranceText.ts";
import { type JobMemory, readJob } from "../../metrics/jobReading.ts";
import { type JobMedia, MediaReader } from "../../metrics/media/mediaReader.ts";
import { type JobNetwork, NetworkReader } from "../../metrics/network/networkReader.ts";
import { findJob } from "../findJobs.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { memoryText } from "../output/amounts.ts";
import { anyDetailText } from "../output/logLines.ts";
import { printJson, printOut } from "../output/messages.ts";
import { outcomePairs } from "../output/outcomes.ts";
import { type Pair, renderPairs } from "../output/table.ts";
import { formatTimeOfDay } from "../output/times.ts";
import { usageCharts } from "../output/usageChart.ts";
import { openToRead } from "../session.ts";
import { askUsage } from "../usageRings.ts";

interface InspectFlags extends CommonFlags {
  utc?: boolean;
  /** False with --no-probe. */
  probe?: boolean;
  showSecrets?: boolean;
}

export async function inspect(name: string, flags: InspectFlags): Promise<number> {
  const context = openToRead(flags);
  const job = findJob(context, name);
  if (flags.showSecrets) requireOwner(job);
  const shown = flags.showSecrets ? trueCommand(job) : shownCommand(job);
  const result = context.ledger.result(job);
  const cgroup = jobCgroupOf(context, job);
  const usage = result?.usage ?? usageOf(job, cgroup);
  const processes = listMembers(cgroup);
  const reading = isOpen(job) ? readJob(context, job, cgroup) : undefined;
  const memory = reading?.memory;
  const { network, media } = await measureOnce(context.host, reading?.details.pids ?? [], flags);
  const events = context.ledger.events(job);
  const { rings, hindrance } = await askUsage(context, job);
  if (flags.json) {
    const measured = { processes, memory, usage, rings, network, media, hindrance };
    printJson(inspectedJobJson({ job, shown, result, ...measured, events }));
  } else {
    const time = (ms: number) => formatTimeOfDay(ms, flags.utc ? "utc" : "local", 3);
    const eventPairs = events.map((event): Pair => ["event", eventText(event, time)]);
    const resultPairs = result ? describeResult(job, result, time) : [];
    const usagePairs = describeUsage(usage, job, memory ? describeMemory(memory, job) : []);
    const pairs = [
      ...describeJob(context, job, shown, processes, time),
      ...[...hindrancePairs(hindrance, result), ...resultPairs, ...usagePairs, ...usageCharts(rings.life)],
      ...[...describeMedia(media), ...describeNetwork(network)],
    ];
    printOut(renderPairs([...pairs, ...eventPairs]));
  }
  context.ledger.close();
  return 0;
}

/** Returns what holds a job back, or for how long each cause did. None for a job that was never held back. */
function hindrancePairs(hindrance: Hindrance | null, result: JobResult | undefined): Pair[] {
  if (hindrance !== null) return [["held back", hindranceText(hindrance)]];
  const times = Object.entries(result?.hinderedSeconds ?? {});
  const texts = times.map(([verdict, seconds]) => `${verdict} ${formatDuration(1000 * seconds)}`);
  return texts.length === 0 ? [] : [["held back", texts.join(", ")]];
}

/** Formats a time of day, in ms. */
type FormatTime = (ms: number) => string;

function eventText(event: RecordedEvent, time: FormatTime): string {
  const { kind, detail } = eventJson(event);
  return `${time(event.atMs)} ${kind} ${anyDetailText(detail)}`.trimEnd();
}

/** Throws a Refusal for a user who is neither root nor the user of the job's process. */
function requireOwner({ jobId, uid }: Job): void {
  const self = process.geteuid?.();
  if (self === 0 || (uid !== null && self === uid)) return;
  const owner = uid === null || uid === 0 ? "root" : `root and uid ${uid}`;
  throw new Refusal(
    `only ${owner} may see the secrets of job ${jobId}, and this is uid ${self}`,
    `without secrets: ffrtmp inspect ${jobId}`,
  );
}

function describeJob(
  context: Context,
  job: Job,
  shown: ShownCommand,
  processes: number[],
  time: FormatTime,
): Pair[] {
  const startedMs = startedMsOf(job);
  const observer = isObserved(context, job) ? `observed by PID ${observerOf(job)?.pid}` : "not observed";
  const pairs: Pair[] = [
    ["job", job.jobId],
    ["state", job.state === "running" ? `running, ${observer}` : job.state],
    ["mode", job.mode],
    ["pid", job.process?.pid.toString() ?? "none yet"],
    ["command", shown.command.join(" ")],
    ...commandCutPairs(job),
    ...(shown.isMasked ? [SECRETS_MASKED] : []),
    ["directory", shown.cwd ?? "unknown"],
    ["governed since", startedMs === null ? "not yet" : time(startedMs)],
  ];
  if (job.decidedBy !== null) pairs.push(["decided by", job.decidedBy]);
  if (job.intent !== null) pairs.push(["intent", job.intent]);
  if (job.tenant !== null) pairs.push(["tenant", job.tenant]);
  pairs.push(...Object.entries(job.labels).map(([name, value]): Pair => ["label", `${name}=${value}`]));
  if (job.logPath !== null) pairs.push(["log", job.logPath]);
  if (processes.length > 0) pairs.push(["processes", processes.join(" ")]);
  pairs.push(...outcomePairs(job), ...byHandPairs(job));
  if (job.state !== "ended") pairs.push(...job.cgroup.map(({ path }): Pair => ["cgroup", path]));
  const carried = Object.entries(carriedOf(job)).map(([file, text]) => `${file} ${text}`);
  if (carried.length > 0) pairs.push(["carried limits", carried.join(", ")]);
  return pairs;
}

const SECRETS_MASKED: Pair = [
  "secrets",
  "masked as ***; --show-secrets shows them to root and to the job's user",
];
/** Limits that were cancelled by hand have no outcome: without this, they would be missing without a reason. */
function byHandPairs({ byHand }: Job): Pair[] {
  const names = LIMIT_NAMES.filter((name) => formatChange(byHand ?? {}, name) !== undefined);
  const changes = names.map((name) => `${name} ${formatChange(byHand ?? {}, name)}`);
  return changes.length === 0 ? [] : [["set by hand", changes.join(", ")]];
}

/** A line of its own: text at the end of the command could be an argument. */
function commandCutPairs({ commandCut }: Job): Pair[] {
  return commandCut
    ? [["command cut", `only the first ${MAX_COMMAND_BYTES} bytes of the command are recorded`]]
    : [];
}

function describeResult(job: Job, result: JobResult, time: FormatTime): Pair[] {
  const { ending, exitEvidence, exitUnknownBecause } = factsOfEnding(result.ending);
  const evidence = exitEvidence ? `evidence: ${exitEvidence}` : exitUnknownBecause;
  return [
    ["outcome", outcomeOf(result.ending)],
    ["ended", `${endText(result, time)}, ${ending}`],
    ["runtime", runtimeText(job, result)],
    ["exit", `${exitText(result)}, ${evidence}`],
    ["sla", `${result.slaCompliant ? "compliant" : "violation"}, ${result.slaReason}`],
  ];
}

function endText({ endMs, lastSeenMs, endedBeforeMs }: JobResult, time: FormatTime): string {
  if (endedBeforeMs === null) return time(endMs);
  return lastSeenMs === null
    ? `before ${time(endedBeforeMs)}`
    : `between ${time(lastSeenMs)}, when it was last seen, and ${time(endedBeforeMs)}`;
}

function runtimeText(job: Job, result: JobResult): string {
  const [runtime, governedTime] = [runtimeOf(job, result), governedTimeOf(result)];
  if (runtime === undefined) return "unknown";
  const [text, governed = text] = [runtime, governedTime].map(
    (each) => each && [markOf(each), formatDuration(each.ms)].filter(Boolean).join(" "),
  );
  const ofWhich = governed === text ? "" : `, governed for ${governed}`;
  return `${text}${ofWhich}${runtime.clock === "wall" ? ", by the wall clock" : ""}`;
}

/** The present memory as the limits of the job's cgroup count it, and as its processes have it. */
function describeMemory({ chargedBytes, rssBytes }: JobMemory, job: Job): Pair[] {
  return [
    ["memory now", chargedText(chargedBytes, job)],
    ["memory rss", bytesText(rssBytes)],
  ];
}

function chargedText(bytes: number | null, job: Job): string {
  if (bytes === null) return "unknown";
  const because = whyMemoryIsPartial(job);
  return because === undefined ? memoryText(bytes) : `${memoryText(bytes)}, partial: ${because}`;
}

function describeUsage(usage: Usage, job: Job, memory: Pair[]): Pair[] {
  return [
    ["cpu user", secondsText(usage.cpuUserUsec)],
    ["cpu system", secondsText(usage.cpuSystemUsec)],
    ["throttled", secondsText(usage.throttledUsec)],
    ...memory,
    ["memory peak", memoryPeakText(usage, job)],
    ["oom kills", usage.oomKills?.toString() ?? "unknown"],
    ["read", bytesText(usage.ioReadBytes)],
    ["written", bytesText(usage.ioWriteBytes)],
    ["cpu pressure", secondsText(usage.cpuPressureUsec)],
    ["memory pressure", secondsText(usage.memoryPressureUsec)],
    ["io pressure", secondsText(usage.ioPressureUsec)],
  ];
}

/** In place, the kernel's peak is since the cgroup was created: the job's own only if it has risen since. */
function memoryPeakText({ memoryPeakBytes, oomKills }: Usage, job: Job): string {
  const before =
    job.cgroup.find(({ countedBefore }) => countedBefore)?.countedBefore?.memoryPeakBytes ?? null;
  // Without `oomKills` the memory counters could not be read at all.
  if (memoryPeakBytes !== null || before === null || oomKills === null)
    return chargedText(memoryPeakBytes, job);
  return `unknown: at most ${memoryText(before)}, the peak from before the job was governed`;
}

interface Measured {
  network: JobNetwork | null;
  media: JobMedia | null;
}

/** Reads what a job sends and receives, and how far it is. Rates need two readings: see `ffrtmp stats`. */
async function measureOnce(host: Host, pids: readonly number[], flags: InspectFlags): Promise<Measured> {
  if (pids.length === 0) return { network: null, media: null };
  const subjects = [{ key: "job", pids }];
  const networks = new NetworkReader(host);
  const medias = new MediaReader(host, { probes: flags.probe !== false });
  await medias.read(subjects);
  await medias.settle();
  const [network, media] = await Promise.all([networks.read(subjects), medias.read(subjects)]);
  networks.close();
  medias.close();
  return { network: network.get("job") ?? null, media: media.get("job") ?? null };
}

function describeMedia(media: JobMedia | null): Pair[] {
  if (media === null || media.source === "none") return [];
  const { mediaSeconds, lengthSeconds, percent, isEstimate, source } = media;
  const duration = (seconds: number) => formatDuration(1000 * seconds);
  const parts = [
    ...(percent === null ? [] : [`${isEstimate ? "~" : ""}${Math.floor(percent)} %`]),
    ...(mediaSeconds === null ? [] : [duration(mediaSeconds)]),
    ...(lengthSeconds === null ? [] : [`of ${duration(lengthSeconds)}`]),
  ];
  return [["media time", [...parts, `from ${source}`].join(", ").replace(", of", " of")]];
}

function describeNetwork(network: JobNetwork | null): Pair[] {
  if (network === null || network.connections === 0) return [];
  const { bytes, connections, sendBacklogBytes, receiveBacklogBytes } = network;
  return [
    ["tcp connections", String(connections)],
    ["tcp sent", `${bytesText(bytes.sent)}, backlog ${memoryText(sendBacklogBytes)}`],
    ["tcp received", `${bytesText(bytes.received)}, not read ${memoryText(receiveBacklogBytes)}`],
  ];
}

function secondsText(usec: number | null): string {
  return usec === null ? "unknown" : `${(usec / 1e6).toFixed(2)} s`;
}

function bytesText(bytes: number | null): string {
  return bytes === null ? "unknown" : memoryText(bytes);
}
