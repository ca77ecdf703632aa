import { existsSync } from "node:fs";
import { hostname } from "node:os";
import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import { isoTime } from "../../jobs/json.ts";
import type { OpenJob } from "../../jobs/model/job.ts";
import { deviceUseJson, jobUseJson, tenantUseJson } from "../../json/jobUse.ts";
import { machineUseJson } from "../../json/machine.ts";
import { isAlive } from "../../linux/proc/identity.ts";
import { type JobUse, JobUseReader } from "../../metrics/jobUse.ts";
import { busyPercentBetween, readMachine, readMachinePressure } from "../../metrics/machine.ts";
import { shortfallTextOf } from "../../metrics/shares/shortfall.ts";
import { type TenantTotal, tenantTotals } from "../../metrics/tenants.ts";
import type { DeviceReading } from "../../sys/nvml.ts";
import { addDaemonFindings } from "../daemonFindings.ts";
import { DaemonShares } from "../daemonShares.ts";
import { findRunningJobs } from "../findJobs.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { explainNoneOpen } from "../output/emptyState.ts";
import { compareJobs, type JobOrder } from "../output/jobTable.ts";
import { LiveView } from "../output/liveView.ts";
import { printOut, writeOut } from "../output/messages.ts";
import { DEVICE_COLUMNS, jobColumns, TENANT_COLUMNS } from "../output/statsTable.ts";
import { renderTable } from "../output/table.ts";
import { isStdoutTerminal, tableWidth } from "../output/terminal.ts";
import { openToRead, requireRecords } from "../session.ts";

export interface StatsFlags extends CommonFlags {
  once?: boolean;
  /** In ms. */
  interval?: number;
  sort?: JobOrder;
  trunc?: boolean;
  /** False with --no-probe. */
  probe?: boolean;
  machine?: boolean;
}

const DEFAULT_INTERVAL_MS = 1000;
/** The first table on a terminal does not wait for a whole interval. */
const FIRST_INTERVAL_MS = 200;

interface Measured {
  uses: JobUse[];
  totals: TenantTotal[];
  devices: readonly DeviceReading[];
}

/**
 * Shows what jobs and tenants use, again after each interval. Only a terminal, a reader of JSON lines and a caller that
 * gives an interval get more than one table: the end of a pipe waits for the end of its input.
 */
export async function stats(names: string[], flags: StatsFlags): Promise<number> {
  if (flags.machine && !flags.json)
    throw new Refusal("--machine adds a line to the output of --json", "ffrtmp stats --json --machine");
  const context = openToRead(flags);
  requireRecords(context);
  const listJobs = jobLister(context, names);
  // A terminal of this type understands no movement of the cursor.
  const isLive = isStdoutTerminal() && process.env["TERM"] !== "dumb" && !flags.json && !flags.once;
  const isRepeated = !flags.once && (isLive || flags.json || flags.interval !== undefined);
  const print = flags.json ? linePrinter(context, flags) : isLive ? livePrinter(flags) : tablePrinter(flags);
  const intervalMs = flags.interval ?? DEFAULT_INTERVAL_MS;
  const reader = new JobUseReader(context, { probes: flags.probe !== false });
  const shares = new DaemonShares(context);
  const first = listJobs();
  if (first.length === 0) explainNoneOpen(context);
  await reader.measure(first);
  // A single table has all that can be known. Later ones get the lengths of files as they are found.
  if (!isRepeated) await reader.settle();
  for (let waitMs = isLive ? Math.min(FIRST_INTERVAL_MS, intervalMs) : intervalMs; ; waitMs = intervalMs) {
    await Bun.sleep(waitMs);
    if (isRepeated && context.ledger.isMissing && existsSync(context.ledger.path)) {
      // The first job of this state directory has been started meanwhile.
      reader.close();
      return stats(names, flags);
    }
    const jobs = listJobs();
    // The last table stays.
    if (isRepeated && names.length > 0 && jobs.length === 0) break;
    const measured = await shares.complete(await reader.measure(jobs));
    // Later tables are of a time that is long enough.
    const uses = isRepeated ? measured : await addDaemonFindings(context, measured);
    if (flags.sort) uses.sort(compareJobs(context, flags.sort));
    // The total of a tenant is that of all its jobs.
    const machine = names.length === 0 ? { totals: tenantTotals(uses), devices: reader.devices() } : {};
    const isRead = print({ uses, totals: [], devices: [], ...machine });
    if (!isRepeated || !isRead) break;
  }
  reader.close();
  context.ledger.close();
  return 0;
}

/** Returns a function that lists the jobs which run now: the named ones, or all. */
function jobLister(context: Context, names: readonly string[]): () => OpenJob[] {
  const { ledger, host } = context;
  const named = findRunningJobs(context, names).map((found) => {
    if ("refusal" in found) throw found.refusal;
    return found.job.key;
  });
  return () => {
    const open = ledger.openJobs().filter(({ key }) => named.length === 0 || named.includes(key));
    // The observer of a job records its end a moment later.
    return open.filter(({ process }) => process !== null && isAlive(host, process));
  };
}

/** Prints everything at one time. Returns false when stdout has no reader any more. */
type Printer = (measured: Measured) => boolean;

function linePrinter({ host }: Context, { machine: withMachine }: StatsFlags): Printer {
  let before = withMachine ? readMachine(host) : undefined;
  return ({ uses, totals, devices }) => {
    const time = isoTime(Date.now());
    const objects: object[] = [
      ...uses.map(jobUseJson),
      ...totals.map(tenantUseJson),
      ...devices.map(deviceUseJson),
    ];
    if (before !== undefined) {
      const [machine, pressure] = [readMachine(host), readMachinePressure(host)];
      const busyPercent = busyPercentBetween(before, machine);
      objects.push(
        machineUseJson({ machine, pressure, busyPercent, hostname: hostname(), jobs: uses.length }),
      );
      before = machine;
    }
    const lines = objects.map((each) => `${JSON.stringify({ time, ...each })}\n`);
    return writeOut(lines.join(""));
  };
}

function tablePrinter(flags: StatsFlags): Printer {
  let isFirst = true;
  return (measured) => {
    if (!isFirst) printOut("");
    isFirst = false;
    return writeOut(`${tables(measured, tableWidth(flags)).join("\n")}\n`);
  };
}

function livePrinter(flags: StatsFlags): Printer {
  const view = new LiveView();
  return (measured) => {
    const [lines, length] = [tables(measured, tableWidth(flags)), measured.uses.length + 1];
    // The totals stay visible where there are more jobs than fit.
    return view.show(lines.slice(0, length), lines.slice(length));
  };
}

/**
 * Returns the lines of the table of jobs, of that of tenants where jobs have tenants, of that of GPUs where jobs use them, and
 * of the jobs that need more than they are sure of.
 */
function tables({ uses, totals, devices }: Measured, width: number | undefined): string[] {
  const used = uses.some(({ gpu }) => gpu !== null) ? devices : [];
  const shortfalls = uses.flatMap(({ job, shares }) => shortfallTextOf(job, shares) ?? []);
  return [
    renderTable(jobColumns(uses), uses, width),
    ...(totals.length === 0 ? [] : [renderTable(TENANT_COLUMNS, totals, width)]),
    ...(used.length === 0 ? [] : [renderTable(DEVICE_COLUMNS, used, width)]),
    ...(shortfalls.length === 0 ? [] : [shortfalls.join("\n")]),
  ]
    .join("\n\n")
    .split("\n");
}
