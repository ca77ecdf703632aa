import { WatchDaemon } from "../../daemon/daemon.ts";
import { DaemonScheduling, type SchedulingChoice } from "../../daemon/daemonScheduling.ts";
import { decideProcess, type GovernDecision, jobSpecOf } from "../../daemon/decision.ts";
import { EndHook } from "../../daemon/endHook.ts";
import { DaemonEvents } from "../../daemon/events.ts";
import { compileWhileBusy } from "../../daemon/jitPolicy.ts";
import { reportStatus } from "../../daemon/log.ts";
import type { LogLevel } from "../../daemon/logLevel.ts";
import { type Meter, MeterClient, NO_METER } from "../../daemon/meter/meterClient.ts";
import {
  handOverMeter,
  type MeterProcess,
  startMeter,
  takeOverMeter,
} from "../../daemon/meter/meterProcess.ts";
import { recordEvents } from "../../daemon/recordEvents.ts";
import { ServiceManager } from "../../daemon/serviceManager.ts";
import { checkVisibility } from "../../diagnostics/checks.ts";
import { screenProcess } from "../../jobs/attach/eligibility.ts";
import { planDryRun } from "../../jobs/attach/planAttach.ts";
import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import { ONCE } from "../../jobs/exit/observerLeft.ts";
import { lockStateFile } from "../../ledger/stateLock.ts";
import { formatLimit } from "../../limits/limits.ts";
import { LIMIT_NAMES } from "../../limits/table.ts";
import type { Placement } from "../../linux/cgroup/placement.ts";
import { whyNoRealtimeThreads } from "../../linux/cgroup/realtime.ts";
import type { EventChoice } from "../../linux/events/bestEvents.ts";
import { handOverExecFilter, takeOverExecFilter } from "../../linux/events/execFilter.ts";
import type { SlowRead } from "../../linux/proc/slowFacts/slowFacts.ts";
import { SlowReader } from "../../linux/proc/slowFacts/slowReader.ts";
import { listPids } from "../../linux/proc/table.ts";
import { takeServiceVariables } from "../../linux/systemd/serviceVariables.ts";
import { askWithFacts } from "../../policy/collectFacts.ts";
import { decide } from "../../policy/decide.ts";
import type { Policy } from "../../policy/policy.ts";
import { FactReader } from "../../policy/procFacts.ts";
import { firstSignal } from "../../sys/ownSignals.ts";
import { oneLine } from "../../sys/visibleText.ts";
import { denySignals } from "../denySignals.ts";
import { restartWithFewerRights } from "../giveUp.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { limitLayerFrom, limitsFrom } from "../options/limitOptions.ts";
import { openPolicy, type PolicyFlags } from "../options/policy.ts";
import { describeChanges } from "../output/changes.ts";
import { startLog } from "../output/daemonLog.ts";
import { neverWaitForStderr, printJson, printOut, warn } from "../output/messages.ts";
import { warnOfLikelyMistakes } from "../output/outcomes.ts";
import { ownCommand } from "../ownCommand.ts";
import { openContext, openToRead } from "../session.ts";
import { planJson } from "./policyExplain.ts";

/** Bounds the memory for the processes whose late facts were reported. */
const MAX_REPORTED = 1024;

export interface WatchFlags extends CommonFlags, PolicyFlags {
  /** In ms. */
  scanInterval?: number;
  events: EventChoice;
  /** In bytes. */
  eventBuffer: number;
  placement: Placement;
  /** ms. */
  retentionMaxAge?: number;
  /** bytes. */
  retentionMaxSize?: number;
  logLevel: LogLevel;
  /** ADDRESS:PORT. */
  listen?: string;
  metricsMaxJobs?: number;
  tokenFile?: string;
  tlsCert?: string;
  tlsKey?: string;
  scheduling: SchedulingChoice;
  /** False with --no-probe. */
  probe?: boolean;
  once?: boolean;
  dryRun?: boolean;
}

/** Governs the processes that the policy chooses, until a signal ends the command. */
export async function watch(flags: WatchFlags): Promise<number> {
  const usesFilter = flags.events === "auto" && !flags.once && !flags.dryRun;
  const metering = flags.once || flags.dryRun ? undefined : takeOverOrStartMeter(flags);
  const note = restartWithFewerRights({
    ...(metering && "pid" in metering ? handOverMeter(metering) : {}),
    prepare: usesFilter ? handOverExecFilter : undefined,
  });
  const execFilter = takeOverExecFilter(note);
  const bus = new DaemonEvents();
  if (!flags.dryRun) startLog(bus, { level: flags.logLevel, json: flags.json ?? false });
  const service = new ServiceManager(takeServiceVariables(process.env, process.pid), warn);
  const context = flags.dryRun ? openToRead(flags) : openContext(flags);
  warnOfLikelyMistakes(context, limitsFrom(flags));
  const place = { stateDirectory: context.state.directory, mayAccept: !flags.dryRun };
  const store = await openPolicy(flags, limitLayerFrom(flags), place);
  const reader = new FactReader(context.host);
  if (flags.dryRun) {
    for (const warning of store.warnings) warn(warning);
    return await dryRun(context, store.policy, reader, flags);
  }
  const isLocked = lockStateDirectory(context);
  neverWaitForStderr();
  let daemon: WatchDaemon | undefined;
  const signal = firstSignal(() => daemon?.reload("SIGHUP"));
  compileWhileBusy(bus);

  const options = {
    scanIntervalMs: flags.scanInterval,
    events: {
      choice: flags.events,
      bufferBytes: flags.eventBuffer,
      execFilter,
    },
    placement: flags.placement,
    answersRequests: isLocked && !flags.once,
    retention: { maxAgeMs: flags.retentionMaxAge, maxBytes: flags.retentionMaxSize },
  };
  reportStatus(bus, service);
  recordEvents(bus, context);
  for (const check of checkVisibility(context)) {
    if (!check.works) bus.emit({ kind: "visibility-limited", found: check.found, consequence: check.cost });
  }
  const web = flags.once ? undefined : await openWebServer(flags, bus, () => daemon);
  const findDanger = () => whyNoRealtimeThreads(context.host, context.hierarchies);
  const scheduling = new DaemonScheduling(flags.scheduling, findDanger);
  if (scheduling.refused !== undefined) bus.emit({ kind: "realtime-refused", reason: scheduling.refused });
  const endHook = new EndHook({
    bus,
    command: () => (flags.once ? undefined : store.policy.onEnd),
    runner: ownCommand("run-hooks", context.state.tag),
  });
  const meter = openMeter(metering, bus);
  const reported = new Set<string>();
  const reportLate = (read: SlowRead) => {
    if (read.kind === "path") return;
    const process = `${read.pid} ${read.startTicks}`;
    if (reported.has(process)) return;
    if (reported.size >= MAX_REPORTED) reported.clear();
    reported.add(process);
    bus.emit({ kind: "facts-late", pid: read.pid });
  };
  const slowReader = new SlowReader(context.host, reportLate, scheduling.isRealtime);
  const parts = { options, store, reader, slowReader, service, bus, endHook, meter, scheduling };
  daemon = await scheduling.inBackground(() => WatchDaemon.start({ ...context, ...parts }));
  denySignals();
  service.ready();
  const cause = flags.once ? ONCE : await signal;
  bus.emit({ kind: "daemon-stopping", signal: cause });
  web?.stop();
  await daemon.stop(cause);
  return 0;
}

/** The first program of this process starts the meter, and the second one, with fewer rights, takes it over. */
function takeOverOrStartMeter({ probe }: WatchFlags): MeterProcess | { reason: string } {
  return (
    takeOverMeter(process.env) ?? startMeter(ownCommand("meter", ...(probe === false ? ["--no-probe"] : [])))
  );
}

function openMeter(metering: MeterProcess | { reason: string } | undefined, bus: DaemonEvents): Meter {
  if (metering === undefined) return NO_METER;
  const reportEnd = (reason: string) => bus.emit({ kind: "meter-unavailable", reason });
  if ("pid" in metering) return new MeterClient(metering, () => reportEnd("its process has ended"), warn);
  reportEnd(metering.reason);
  return NO_METER;
}

/** Loads the code of the server only where it is asked for. Throws a Refusal. */
async function openWebServer(
  { listen, metricsMaxJobs, tokenFile, tlsCert, tlsKey }: WatchFlags,
  bus: DaemonEvents,
  daemon: () => WatchDaemon | undefined,
): Promise<{ stop(): void } | undefined> {
  if (listen === undefined) {
    if ([metricsMaxJobs, tokenFile, tlsCert, tlsKey].every((option) => option === undefined))
      return undefined;
    throw new Refusal(
      "--metrics-max-jobs, --token-file, --tls-cert and --tls-key are about --listen",
      "add --listen ADDRESS:PORT",
    );
  }
  const { openWeb } = await import("../../web/web.ts");
  return openWeb({ listen, metricsMaxJobs, tokenFile, tlsCert, tlsKey }, bus, daemon);
}

async function dryRun(
  context: Context,
  policy: Policy,
  reader: FactReader,
  { placement, json }: WatchFlags,
): Promise<number> {
  const readers = { reader, slowReader: new SlowReader(context.host) };
  const planned: Record<string, unknown>[] = [];
  for (const pid of listPids(context.host)) {
    const stat = screenProcess(context, pid);
    if ("eligible" in stat) continue;
    const { answer, slow } = await askWithFacts(readers, stat, (facts) => decide(policy, facts));
    const outcome = decideProcess(context, pid, () => answer, slow);
    if (!outcome.govern) continue;
    const { decision, process } = outcome;
    const spec = jobSpecOf(policy, decision, pid, placement);
    const plan = planDryRun(context, process, spec);
    if (json) {
      planned.push({ pid, job_id: spec.jobId, decision, would: planJson(plan) });
      continue;
    }
    const lines = describeChanges(plan.changes).map((change) => `  ${change}`);
    printOut([describe(pid, decision), ...lines].map(oneLine).join("\n"));
  }
  if (json) printJson(planned);
  return 0;
}

function describe(pid: number, { target, rule, tenant, limits }: GovernDecision): string {
  const named = LIMIT_NAMES.map((name) => [name, formatLimit(limits, name)]);
  const wanted = named.filter(([, text]) => text !== undefined).map((words) => words.join(" "));
  const byRule = rule === undefined ? "" : ` by rule ${rule}`;
  const forTenant = tenant === undefined ? "" : ` for tenant ${tenant}`;
  const withLimits = wanted.length === 0 ? "" : ` with ${wanted.join(", ")}`;
  return `would govern PID ${pid} (${target})${byRule}${forTenant}${withLimits}`;
}

/** Returns whether it is locked. Throws a Refusal where another watch has locked it. */
function lockStateDirectory({ state }: Context): boolean {
  const lock = lockStateFile(state.watchLock);
  const hint = "one watch is enough for a machine; for a second one, name another directory: --state-path";
  if (lock === "locked") throw new Refusal(`another ffrtmp watch uses ${state.directory}`, hint);
  if (typeof lock === "object")
    warn(`cannot check whether another ffrtmp watch uses this directory: ${lock.reason}`);
  return typeof lock === "number";
}
