import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { governedHierarchies, makeGroup, removeGroups } from "./lib/cgroups.ts";
import { Crowd } from "./lib/crowd.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { eventually, Processes, readCpuSeconds, readMemory } from "./lib/processes.ts";
import { startRulesDaemon } from "./lib/rulesDaemon.ts";
import { markdownTable, target } from "./lib/table.ts";

const GROUP = "ffrtmp-bench-idle";
const EXPORTER_ADDRESS = "127.0.0.1:19256";
const SCRAPES_PER_MINUTE = 4;
/** ms of CPU a minute. */
const MOST_WITH_NOTHING = 30;
const MOST_FILTERED = 40;
const MOST_UNFILTERED = 60;
const MOST_PRIVATE_KB = 15 * 1024;
const MOST_GROWTH_KB = 512;
const LEAST_FORKS_PER_SECOND = 1000;
const NOBODY = "no-such-workload";

/** Programs that others start, as cron jobs and monitoring do. */
const FOREIGN_PER_SECOND = 6;
const FOREIGN = `while (1) { system '/bin/true'; select undef, undef, undef, 1 / ${FOREIGN_PER_SECOND} }`;

const PHASES = [
  // The runtime compiles what a daemon does again and again, for some minutes.
  { count: 0, hasForeign: false, settleS: 120, heading: "nothing starts" },
  { count: 0, hasForeign: true, heading: `${FOREIGN_PER_SECOND} programs/s start` },
  { count: 1000, hasForeign: true, heading: "and 1,000 idle processes" },
  { count: 5000, hasForeign: true, heading: "and 5,000" },
];

interface Daemon {
  name: string;
  child: Bun.Subprocess;
  /** A request that operators make while the daemon is idle. */
  ask?: () => Promise<void>;
}

/** Measures the cost of daemons while nothing happens that concerns them. */
export const idle: Benchmark = {
  title: "Idle: standing by among processes that are no targets, and in a fork storm",
  needs: {
    cgrulesengd: "cgroup-tools",
    "prometheus-process-exporter": "prometheus-process-exporter",
    "stress-ng": "stress-ng",
    perl: "perl",
    setpriv: "util-linux",
    unshare: "util-linux",
  },
  async run({ quick }) {
    using filtered = new FfrtmpUnderTest();
    using unfiltered = new FfrtmpUnderTest();
    const hierarchies = governedHierarchies();
    await using crowd = new Crowd();
    await using processes = new Processes();
    makeGroup(hierarchies, GROUP);
    const rules = await startRulesDaemon(processes, hierarchies, NOBODY, GROUP);
    try {
      const watch = await startWatch(processes, filtered, []);
      const exporter = await startExporter(processes);
      const daemons: Daemon[] = [
        { name: "ffrtmp watch, with the exec filter", child: watch },
        {
          name: "ffrtmp watch, without it",
          child: await startWatch(processes, unfiltered, WITHOUT_FILTER),
        },
        { name: "cgrulesengd", child: rules.child },
        {
          name: `process-exporter, ${SCRAPES_PER_MINUTE} scrapes a minute`,
          child: exporter,
          ask: async () => void (await (await fetch(`http://${EXPORTER_ADDRESS}/metrics`)).text()),
        },
      ];
      const cpu = new Map<Daemon, number[]>(daemons.map((daemon) => [daemon, []]));
      const forks: number[] = [];
      let growthKb = 0;
      let foreign: Bun.Subprocess | undefined;
      for (const { count, hasForeign, settleS = 20, heading } of PHASES) {
        // The last one runs long enough to show growth.
        const seconds = quick ? 10 : count === 5000 ? 600 : 60;
        progress(`${heading}, for ${seconds} s`);
        if (hasForeign) foreign ??= processes.start(["perl", "-e", FOREIGN]);
        await crowd.grow(count);
        await Bun.sleep(1000 * (quick ? 6 : settleS));
        const before = readMemory(watch.pid).privateDirty;
        const forksBefore = readForks();
        const used = await cpuPerMinute(daemons, seconds);
        forks.push((readForks() - forksBefore) / seconds);
        growthKb = readMemory(watch.pid).privateDirty - before;
        for (const daemon of daemons) cpu.get(daemon)?.push(used.get(daemon) ?? Number.NaN);
      }
      if (foreign) await processes.stop(foreign);
      const memory = new Map(daemons.map((daemon) => [daemon, readMemory(daemon.child.pid)]));
      const stormSeconds = quick ? 4 : 15;
      progress(`fork storm for ${stormSeconds} s`);
      const storm = await stormCpu(processes, daemons.slice(0, 3), stormSeconds);
      const rows = daemons.map((daemon) => [
        daemon.name,
        ...(cpu.get(daemon) ?? []).map((seconds) => (seconds * 1000).toFixed(1)),
        storm.cpuShare.has(daemon) ? `${((storm.cpuShare.get(daemon) ?? 0) * 100).toFixed(1)} %` : "–",
        memory.get(daemon)?.proportional ?? "",
        memory.get(daemon)?.privateDirty ?? "",
      ]);
      const msOf = (daemon: number, phase: number) =>
        (cpu.get(daemons[daemon] as Daemon)?.[phase] ?? Number.NaN) * 1000;
      const atMost = (what: string, found: number, most: number) =>
        target(`${what}, at most ${most} ms a minute: ${found.toFixed(1)}`, found <= most);
      const privateKb = memory.get(daemons[0] as Daemon)?.privateDirty ?? Number.NaN;
      const headings = [
        `CPU ms/min, ${PHASES[0]?.heading}`,
        ...PHASES.slice(1).map(({ heading }) => heading),
      ];
      return [
        markdownTable(
          ["daemon", ...headings, "core in the storm", "kB proportional", "kB private dirty"],
          rows,
        ),
        "",
        `Forks a second, those of others included: ${forks.map((each) => each.toFixed(1)).join(", ")}. The storm: ${Math.round(storm.forksPerSecond)} forks/s. All daemons at once; memory at 5,000 processes.`,
        "",
        atMost("while nothing starts", msOf(0, 0), MOST_WITH_NOTHING),
        atMost("at 5,000 with the filter", msOf(0, 3), MOST_FILTERED),
        atMost("at 5,000 without it", msOf(1, 3), MOST_UNFILTERED),
        target(
          `private memory at most ${MOST_PRIVATE_KB / 1024} MB: ${(privateKb / 1024).toFixed(1)} MB`,
          privateKb <= MOST_PRIVATE_KB,
        ),
        target(
          `not growing: ${growthKb} kB more after ${quick ? "10 seconds" : "10 minutes"} (up to ${MOST_GROWTH_KB} is noise)`,
          growthKb <= MOST_GROWTH_KB,
        ),
        ...(storm.forksPerSecond < LEAST_FORKS_PER_SECOND
          ? [target(`a storm of ${LEAST_FORKS_PER_SECOND} forks/s could not be raised here`, false)]
          : []),
      ].join("\n");
    } finally {
      await processes.stop(rules.child);
      rules.cleanUp();
      removeGroups(hierarchies, GROUP);
    }
  },
};

/** The filter needs a right that the packaged service does not have without its drop-in. */
const WITHOUT_FILTER = ["setpriv", "--bounding-set", "-bpf,-sys_admin"];

async function startWatch(
  processes: Processes,
  ffrtmp: FfrtmpUnderTest,
  wrapper: string[],
): Promise<Bun.Subprocess> {
  const log = join(ffrtmp.directory, "watch.log");
  const child = processes.start([...wrapper, ffrtmp.executable, "watch", "--target", NOBODY], {
    env: ffrtmp.environment,
    stderr: openSync(log, "a"),
  });
  await eventually("ffrtmp watch is ready", () =>
    readFileSync(log, "utf8").includes("Watching for") ? true : undefined,
  );
  return child;
}

async function startExporter(processes: Processes): Promise<Bun.Subprocess> {
  const child = processes.start([
    "prometheus-process-exporter",
    ...["-procnames", NOBODY, "-web.listen-address", EXPORTER_ADDRESS],
  ]);
  for (let attempt = 0; ; attempt++) {
    try {
      await fetch(`http://${EXPORTER_ADDRESS}/metrics`);
      return child;
    } catch (error) {
      if (attempt > 100) throw new Error("prometheus-process-exporter does not answer", { cause: error });
      await Bun.sleep(50);
    }
  }
}

async function cpuPerMinute(daemons: Daemon[], seconds: number): Promise<Map<Daemon, number>> {
  const before = new Map(daemons.map((daemon) => [daemon, readCpuSeconds(daemon.child.pid)]));
  const from = performance.now();
  const asked = 60 / SCRAPES_PER_MINUTE;
  // At least one request in a short window, and the share of a minute that it represents.
  const questions = Math.max(1, Math.round(seconds / asked));
  for (let question = 0; question < questions; question++) {
    for (const { ask } of daemons) await ask?.();
    await Bun.sleep((seconds * 1000) / questions);
  }
  const minutes = (performance.now() - from) / 60_000;
  return new Map(
    daemons.map((daemon) => {
      const used = readCpuSeconds(daemon.child.pid) - (before.get(daemon) ?? 0);
      return [daemon, daemon.ask ? (used / questions) * SCRAPES_PER_MINUTE : used / minutes];
    }),
  );
}

async function stormCpu(
  processes: Processes,
  daemons: Daemon[],
  seconds: number,
): Promise<{ forksPerSecond: number; cpuShare: Map<Daemon, number> }> {
  const storm = processes.start(["stress-ng", "--fork", "2", "--timeout", `${seconds + 5}s`, "--quiet"]);
  await Bun.sleep(1000);
  const before = new Map(daemons.map((daemon) => [daemon, readCpuSeconds(daemon.child.pid)]));
  const forksBefore = readForks();
  const from = performance.now();
  await Bun.sleep(seconds * 1000);
  const elapsed = (performance.now() - from) / 1000;
  const cpuShare = new Map(
    daemons.map((daemon) => [
      daemon,
      (readCpuSeconds(daemon.child.pid) - (before.get(daemon) ?? 0)) / elapsed,
    ]),
  );
  const forksPerSecond = (readForks() - forksBefore) / elapsed;
  await processes.stop(storm);
  return { forksPerSecond, cpuShare };
}

// processes 2839212
function readForks(): number {
  return Number(/^processes (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? 0);
}
