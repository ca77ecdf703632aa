import { WatchDaemon } from "../../daemon/daemon.ts";
import { decideProcess } from "../../daemon/decision.ts";
import type { PolicyStore } from "../../daemon/policyStore.ts";
import { ServiceManager } from "../../daemon/serviceManager.ts";
import { checkVisibility } from "../../diagnostics/visibility.ts";
import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import { formatLimit } from "../../limits/limits.ts";
import { LIMIT_NAMES } from "../../limits/table.ts";
import type { Placement } from "../../linux/cgroup/placement.ts";
import type { EventChoice } from "../../linux/events/bestEvents.ts";
import { listPids } from "../../linux/proc/table.ts";
import { takeServiceVariables } from "../../linux/systemd/serviceVariables.ts";
import { type Decision, decide } from "../../policy/decide.ts";
import { FactReader } from "../../policy/procFacts.ts";
import { lockFile } from "../../sys/fileLock.ts";
import type { StateFlags } from "../options/jobOptions.ts";
import { type LimitFlags, limitsFrom } from "../options/limitOptions.ts";
import { openPolicy, type PolicyFlags } from "../options/policySource.ts";
import { printErr, printOut, warn } from "../output/messages.ts";
import { warnOfLikelyMistakes } from "../output/outcomes.ts";
import { openContext } from "../session.ts";
import { denySignals, firstSignal } from "../signals.ts";

export interface WatchFlags extends LimitFlags, StateFlags, PolicyFlags {
  /** ms; `undefined`: as the policy says, or 5 s. */
  scanInterval?: number;
  events: EventChoice;
  /** Bytes. */
  eventBuffer: number;
  placement: Placement;
  once?: boolean;
  dryRun?: boolean;
}

/** Governs what appears until a signal ends it. */
export async function watch(flags: WatchFlags): Promise<number> {
  const service = new ServiceManager(takeServiceVariables(process.env, process.pid), warn);
  const context = openContext(flags);
  const limits = limitsFrom(flags);
  warnOfLikelyMistakes(context, limits);
  const store = await openPolicy(flags, limits);
  if (flags.dryRun) return dryRun(context, store);
  takeLock(context);
  let daemon: WatchDaemon | undefined;
  const signal = firstSignal(() => daemon?.reload("SIGHUP"));
  // The executable starts with the compiler held back (scripts/build.ts); this one is here to stay.
  Bun.unsafe.setJITPolicy(1);

  const options = {
    scanIntervalMs: flags.scanInterval,
    eventChoice: flags.events,
    eventBufferBytes: flags.eventBuffer,
    placement: flags.placement,
  };
  for (const { works, found, cost } of checkVisibility(context)) {
    if (!works) log(`Not all is in sight: ${found}. So: ${cost}`);
  }
  daemon = await WatchDaemon.begin(context, options, store, service, log);
  denySignals();
  service.ready();
  if (!flags.once) {
    const name = await signal;
    log(`${name}: letting go of every job; they and their limits stay`);
  }
  await daemon.stop();
  return 0;
}

function dryRun(context: Context, { policy }: PolicyStore): number {
  const reader = new FactReader(context.host);
  for (const pid of listPids(context.host)) {
    const outcome = decideProcess(context, pid, (stat) => decide(policy, reader.of(stat)));
    if (outcome.govern) printOut(describe(pid, outcome.decision));
  }
  return 0;
}

function describe(pid: number, { target, rule, tenant, limits }: Decision & { govern: true }): string {
  const wanted = LIMIT_NAMES.flatMap((name) => {
    const text = formatLimit(limits, name);
    return text === undefined ? [] : [`${name} ${text}`];
  });
  const reasons = [
    rule === undefined ? "" : ` by rule ${rule}`,
    tenant === undefined ? "" : ` for tenant ${tenant}`,
    wanted.length === 0 ? "" : ` with ${wanted.join(", ")}`,
  ];
  return `would govern PID ${pid} (${target})${reasons.join("")}`;
}

function takeLock({ state }: Context): void {
  const lock = lockFile(state.watchLock);
  if (lock === "locked") {
    throw new Refusal(
      `another ffrtmp watch uses ${state.directory}`,
      "one is enough for a machine; for a second one name another directory: --state-path",
    );
  }
  if (typeof lock === "object") warn(`cannot make sure that no other watch works here: ${lock.reason}`);
}

function log(line: string): void {
  printErr(`${new Date().toISOString()} ${line}`);
}
