import { release } from "node:os";
import type { Context } from "../jobs/context.ts";
import { groupName } from "../jobs/model/jobId.ts";
import { planOwnPlace } from "../jobs/placement/beside.ts";
import { respectDisabled } from "../jobs/placement/jobCgroup.ts";
import { isObserved } from "../jobs/recovery/recover.ts";
import { nearestExisting, whyNoLedger } from "../ledger/places.ts";
import type { Limits } from "../limits/limits.ts";
import type { LimitOutcome } from "../limits/outcome.ts";
import { CGROUP_LIMITS, LIMITS } from "../limits/table.ts";
import { findWholeDisk } from "../linux/blockDevice.ts";
import { createJobCgroup, removeJobCgroup } from "../linux/cgroup/cgroupChanges.ts";
import { type Membership, readMembership } from "../linux/cgroup/hierarchies.ts";
import { readMachineDiskWeights } from "../linux/cgroup/ioWeight.ts";
import { applyCgroupLimits } from "../linux/cgroup/jobLimits.ts";
import { planJobCgroup } from "../linux/cgroup/planJobCgroup.ts";
import { pidfdsReportExitCodes } from "../linux/events/bestEvents.ts";
import { ConnectorEvents } from "../linux/events/connectorEvents.ts";
import { ExecFilter, loadExecFilter } from "../linux/events/execFilter.ts";
import { readProcFile } from "../linux/host.ts";
import { isAlive } from "../linux/proc/identity.ts";
import { isOutsideInitialNamespace } from "../linux/proc/namespaces.ts";
import { CAP_SYS_PTRACE, hasCapability } from "../linux/proc/status.ts";
import { dropCapabilities, findUnneededCapabilities, listKeptCapabilities } from "../sys/capabilities.ts";
import { closeFd } from "../sys/descriptor.ts";
import { errnoName } from "../sys/errno.ts";
import { openPidfd } from "../sys/pidfd.ts";
import { GIVEN_UP, installSignalFilter } from "../sys/seccomp.ts";
import { type Check, fails, works } from "./check.ts";
import { checkMoveWait, checkRealtime } from "./discoveryChecks.ts";
import { checkDiskPriorities, checkDiskWeights } from "./diskChecks.ts";

/** The filter of execs in the daemon that runs now. See `ProcessEvents`. */
export interface RunningWatch {
  filteredExecs: number | null;
  unfilteredBecause: string | null;
}

/** Tries every feature that governing can use on this machine with these rights, and undoes every change. */
export async function runChecks(context: Context, watch?: RunningWatch): Promise<Check[]> {
  const exitRecords = await probeExitRecords();
  return [
    probeRights(context),
    ...checkVisibility(context),
    probeHierarchies(context),
    ...checkPlace(context),
    ...probeLimits(context),
    probePidfd(),
    exitRecords,
    await probeConnector(context),
    await checkMoveWait(context),
    checkRealtime(context),
    checkDiskPriorities(),
    checkDiskWeights(readMachineDiskWeights(context.host.cgroupFs, context.hierarchies)),
    await probeExecFilter(context, watch),
    probeLedger(context),
    describeUpgrade(context, exitRecords.works),
    // The last one: afterwards this process can no longer do what the other checks do.
    probeSignalFilter(),
    probeCapabilities(),
  ];
}

function probeRights({ host }: Context): Check {
  const uid = process.geteuid?.() ?? 0;
  const isInOwn = isOutsideInitialNamespace(host, "user");
  const found = `uid ${uid}${isInOwn ? " in a user namespace" : ""} on Linux ${release()}`;
  const cost =
    "only your own processes can be governed, and limits need a cgroup that is delegated to your user";
  return uid === 0 && !isInOwn ? works("rights", `root, ${found}`) : fails("rights", found, cost);
}

/** Checks which parts of the machine are visible. By default, a container shows only its own part. */
export function checkVisibility(context: Context): Check[] {
  return [checkProcesses(context), checkCgroups(context), checkFacts(context)];
}

function checkProcesses({ host }: Context): Check {
  const name = "visible processes";
  const cost =
    "other processes are not found or governed; to include them, start the container with --pid=host (in Kubernetes: hostPID: true)";
  if (!isOutsideInitialNamespace(host, "pid")) return works(name, "all processes of the machine");
  return fails(name, "only the processes of a PID namespace, such as that of a container", cost);
}

function checkCgroups({ host, hierarchies }: Context): Check {
  const name = "visible cgroups";
  const cost =
    "processes in other cgroups get no limits; to include them, start the container with --cgroupns=host and the machine's /sys/fs/cgroup mounted (in Kubernetes: privileged: true)";
  if (isOutsideInitialNamespace(host, "cgroup"))
    return fails(name, "only the cgroups of a cgroup namespace, such as that of a container", cost);
  const partial = hierarchies.find(({ mountRoot }) => mountRoot !== "/");
  if (partial === undefined) return works(name, "all cgroups of the machine");
  return fails(name, `only the cgroups below ${partial.mountRoot}, at ${partial.mountPoint}`, cost);
}

/** Checks the facts that only tracers can read: of processes of other users or with more rights. */
function checkFacts({ host }: Context): Check {
  const name = "facts of other users' processes";
  if (hasCapability(host, CAP_SYS_PTRACE) && !isOutsideInitialNamespace(host, "user"))
    return works(name, "executables, working directories and environments can be read");
  return fails(
    name,
    "only names, arguments and users of processes of other users or with more rights (CAP_SYS_PTRACE is missing)",
    "rules on their executable, working directory or environment do not match",
  );
}

function probeHierarchies({ hierarchies }: Context): Check {
  const name = "cgroup hierarchies";
  const cost = "no limits and no measurements; jobs run and are recorded";
  if (hierarchies.length === 0) return fails(name, "none is mounted", cost);
  const usable = hierarchies.filter(({ controllers }) => controllers.length > 0);
  const texts = usable.map(
    ({ version, controllers, mountPoint, isReadOnly }) =>
      `v${version} ${controllers.join(",")} at ${mountPoint}${isReadOnly ? ", read-only" : ""}`,
  );
  const found = texts.join("; ");
  const isWritable = usable.length === 0 || usable.some(({ isReadOnly }) => !isReadOnly);
  return isWritable ? works(name, found) : fails(name, found, cost);
}

/** Checks where `run` starts a job on cgroup v2 without systemd. Elsewhere nothing stands in the way of a limit. */
function checkPlace(context: Context): Check[] {
  const name = "cgroup of run";
  const place = planOwnPlace(context, ownMembership(context));
  if (place.placedAs === "beside") {
    const limits = Object.entries(place.carried).map(([file, text]) => `${file} ${text}`);
    const carried = limits.length === 0 ? "" : `, with the limits of that one: ${limits.join(", ")}`;
    return [works(name, `beside the caller's cgroup, in ${place.parent}${carried}`)];
  }
  if (place.placedAs !== "child" || place.insteadOf === undefined) return [];
  const cost = "among the caller's processes --memory-limit, --memory-max and --io-max have no effect";
  return [fails(name, `below the caller's, because none can be beside it: ${place.insteadOf}`, cost)];
}

function ownMembership({ host }: Context): Membership {
  const membership = readMembership(host, "self");
  return membership === "gone" ? new Map() : membership;
}

/** Writes every limit once, to an empty cgroup in the place of one that `run` makes. */
function probeLimits(context: Context): Check[] {
  const { host, hierarchies, state } = context;
  const membership = ownMembership(context);
  const limits = sampleLimits(context);
  const cgroup = planJobCgroup(host.cgroupFs, hierarchies, membership, {
    name: groupName(state.tag, `doctor-${process.pid}`),
    limits,
    place: planOwnPlace(context, membership),
  });
  respectDisabled(context, cgroup);
  try {
    createJobCgroup(cgroup);
    return applyCgroupLimits(cgroup, limits).map(describeLimit);
  } finally {
    removeJobCgroup(cgroup);
  }
}

function sampleLimits({ host, state }: Context): Limits {
  const status = readProcFile(host, "self/status");
  const disk = findWholeDisk(nearestExisting(state.directory));
  const device = "device" in disk ? disk.device : undefined;
  // Cpus_allowed_list:	0-1
  const cpu = /^Cpus_allowed_list:\s+(\d+)/m.exec(status)?.[1] ?? "0";
  const samples = CGROUP_LIMITS.map((name) => [LIMITS[name].field, LIMITS[name].sample(device, cpu)]);
  return Object.fromEntries(samples.filter(([, value]) => value !== undefined));
}

function describeLimit({ limit, outcome, actual, because }: LimitOutcome): Check {
  if (outcome === "applied" || outcome === "partial")
    return works(limit, `read back as ${actual}${because === undefined ? "" : `: ${because}`}`);
  const options = Object.keys(LIMITS[limit].keys).map((key) => `--${key.replaceAll("_", "-")}`);
  const cost = `${options.join(" and ")} ${options.length === 1 ? "has" : "have"} no effect`;
  return fails(limit, because, cost);
}

function probePidfd(): Check {
  const pidfd = openPidfd(process.pid);
  const cost =
    "processes are identified by their start time only, and their ends are noticed up to a second late";
  if (pidfd < 0) return fails("pidfd", `pidfd_open: ${errnoName(pidfd)}`, cost);
  closeFd(pidfd);
  return works("pidfd", "processes are identified even when their PID is reused");
}

async function probeExitRecords(): Promise<Check> {
  const name = "pidfd exit codes";
  if (await pidfdsReportExitCodes())
    return works(name, "the exit codes of processes that ffrtmp did not start are known");
  const cost =
    "the exit codes of processes that ffrtmp did not start come from the process connector, or are unknown";
  return fails(name, "not supported by this kernel (needs Linux 6.15)", cost);
}

async function probeConnector({ host }: Context): Promise<Check> {
  const name = "process connector";
  const events = new ConnectorEvents(host);
  const reason = await events.start(() => {});
  if (reason !== undefined) return fails(name, reason, "watch finds processes by its scans only");
  await events.stop();
  return works(name, "the kernel reports every exec and exit immediately");
}

/** Each event wakes a thread that reads two names of the process. Few wake the main thread too: docs/benchmarks.md. */
const MS_PER_EXEC = 0.15;

/** Tries the filter with the rights of this process, and says whether the running daemon uses it. */
async function probeExecFilter({ host }: Context, watch: RunningWatch | undefined): Promise<Check> {
  const name = "exec filter";
  if (watch !== undefined && watch.filteredExecs !== null)
    return works(name, `in use: watch was spared ${watch.filteredExecs} execs of other commands`);
  const saved = `up to ${Math.round(readForksPerSecond(host) * 60 * MS_PER_EXEC)} ms of CPU a minute at the average number of process starts since the boot`;
  const reason = await whyNoExecFilter(host);
  if (reason !== undefined)
    return fails(name, reason, `each program that starts on the machine wakes watch: ${saved}`);
  if (watch === undefined) return works(name, `watch can use it with these rights, and saves ${saved}`);
  const because = watch.unfilteredBecause ?? "it does not say why";
  const hint = because.includes("CAP_BPF")
    ? "; for the service see exec-filter.conf in docs/operating.md"
    : "";
  return works(name, `possible, and not in use by watch: ${because}${hint}. It would save ${saved}`);
}

async function whyNoExecFilter(host: Context["host"]): Promise<string | undefined> {
  const loaded = loadExecFilter(process.pid);
  if ("reason" in loaded) return loaded.reason;
  const execFilter = ExecFilter.open(loaded);
  const events = new ConnectorEvents(host, { execFilter, hasExits: !(await pidfdsReportExitCodes()) });
  const reason = await events.start(() => {});
  if (reason !== undefined) return reason;
  events.setNames({ renamed: [], executed: [] });
  const unfiltered = events.unfilteredBecause();
  await events.stop();
  return unfiltered ?? undefined;
}

// processes 2839212
function readForksPerSecond(host: Context["host"]): number {
  const forks = Number(/^processes (\d+)$/m.exec(readProcFile(host, "stat"))?.[1] ?? 0);
  return forks / (host.bootNow() / 1000);
}

function probeSignalFilter(): Check {
  const name = "signal filter";
  const filter = installSignalFilter();
  const list = Object.values(GIVEN_UP).join("; ");
  if (filter.outcome === "applied")
    return works(name, `attach, watch and a waiting run cannot: ${list} (tried: EPERM)`);
  const cost = "they still send no signals, but the kernel does not enforce it";
  return fails(name, `attach, watch and a waiting run can: ${list} (${filter.reason})`, cost);
}

function probeCapabilities(): Check {
  const name = "capabilities";
  const unneeded = findUnneededCapabilities();
  const failure = unneeded === 0n ? undefined : dropCapabilities();
  if (failure !== undefined)
    return fails(name, failure, "attach and watch keep all rights of root, also those that they do not need");
  const kept = listKeptCapabilities().join(", ") || "none";
  const count = unneeded.toString(2).replaceAll("0", "").length;
  return works(name, `attach and watch keep ${kept}${count === 0 ? "" : `, and give up ${count} others`}`);
}

function probeLedger({ ledger, host }: Context): Check {
  const lost = "the results of jobs are lost when their ffrtmp process ends";
  if (ledger.isMissing) {
    const reason = whyNoLedger(ledger.path);
    if (reason === undefined) return works("ledger", `${ledger.path}, which the first job creates`);
    return fails("ledger", `${ledger.path} cannot be created: ${reason}`, lost);
  }
  ledger.setNote("doctor", new Date(host.now()).toISOString());
  if (ledger.flush() === 0) return works("ledger", ledger.path);
  return fails("ledger", `${ledger.path} cannot be written`, lost);
}

/** Answers what an upgrade, restart or crash of ffrtmp means for the jobs of now. It never fails. */
function describeUpgrade(context: Context, hasExitRecords: boolean): Check {
  const name = "upgrade of ffrtmp";
  const open = context.ledger.openJobs();
  const jobs = open.filter((job) => job.state === "starting" || isAlive(context.host, job.process));
  if (jobs.length === 0) return works(name, "no job is governed now; a job would continue under its limits");
  const byDaemon = jobs.filter((job) => !isObserved(context, job) || job.mode === "watch").length;
  const kept = `${jobs.length === 1 ? "the job continues" : `all ${jobs.length} jobs continue`} under the same limits`;
  if (byDaemon === 0) return works(name, `${kept}, and the ffrtmp that waits for each records its end`);
  const code = hasExitRecords
    ? "its exit code is recorded where systemd runs ffrtmp-watch.service, and is unknown elsewhere"
    : "its exit code is unknown";
  return works(name, `${kept}; the next watch takes ${byDaemon} over; if one ends before that, ${code}`);
}
