import { copyFileSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { governedHierarchies, type Mounted, makeGroup, removeGroups } from "./lib/cgroups.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { eventually, Processes, readCpuSeconds } from "./lib/processes.ts";
import { startRulesDaemon } from "./lib/rulesDaemon.ts";
import { markdownTable, target } from "./lib/table.ts";

const GROUP = "ffrtmp-bench-storm";
const EXECS_PER_SECOND = 1000;
const TARGETS = 20;
/** Longer than a storm, so that the scan finds it too. */
const LIFE_SECONDS = 60;
const PATIENCE_MS = 8000;

/** Executes `true` 1,000 times a second, in turns of 10 ms, as far as the machine can. */
const EXEC_STORM = `
  use Time::HiRes qw(time sleep);
  my ($rate, $seconds) = @ARGV;
  my ($start, $done) = (time, 0);
  while ((my $passed = time - $start) < $seconds) {
    for (; $done < $passed * $rate; $done++) {
      my $pid = fork;
      if ($pid == 0) { exec '/bin/true' }
      waitpid $pid, 0;
    }
    sleep 0.01;
  }
`;

const STORMS = [
  {
    name: "fork",
    title: "`stress-ng --fork 2`",
    command: (seconds: number) => ["stress-ng", "--fork", "2", "--timeout", `${seconds}s`, "--quiet"],
  },
  {
    name: "exec",
    title: `${EXECS_PER_SECOND} execs/s`,
    command: (seconds: number) => ["perl", "-e", EXEC_STORM, String(EXECS_PER_SECOND), String(seconds)],
  },
];

interface Daemon {
  name: string;
  /** The name of the processes that it governs, which no other daemon does. */
  target: string;
  child: Bun.Subprocess;
  hasFound(pid: number): boolean;
}

interface Measured {
  forksPerSecond: number;
  /** Shares of a core. */
  share: Map<Daemon, number>;
  found: Map<Daemon, number>;
}

/** Measures the daemons at once, while programs start that are no targets, with a few targets among them. */
export const storm: Benchmark = {
  title: "Storms: programs that are no targets start, with a few targets among them",
  needs: {
    cgrulesengd: "cgroup-tools",
    "stress-ng": "stress-ng",
    setpriv: "util-linux",
    unshare: "util-linux",
    perl: "perl",
  },
  async run({ quick }) {
    using filtered = new FfrtmpUnderTest();
    using unfiltered = new FfrtmpUnderTest();
    const hierarchies = governedHierarchies();
    await using processes = new Processes();
    makeGroup(hierarchies, GROUP);
    const rules = await startRulesDaemon(processes, hierarchies, "ffb-storm-rules", GROUP);
    try {
      // The filter needs a right that the packaged service does not have without its drop-in.
      const withoutFilter = ["setpriv", "--bounding-set", "-bpf,-sys_admin"];
      const daemons: Daemon[] = [
        await startWatch(processes, filtered, "ffrtmp watch, with the exec filter", "ffb-storm-a", []),
        await startWatch(processes, unfiltered, "ffrtmp watch, without it", "ffb-storm-b", withoutFilter),
        {
          name: "cgrulesengd",
          target: "ffb-storm-rules",
          child: rules.child,
          hasFound: (pid) => isInGroup(hierarchies, pid),
        },
      ];
      for (const daemon of daemons) copyFileSync("/bin/sleep", join(filtered.directory, daemon.target));
      await Bun.sleep(quick ? 5000 : 20_000);
      const seconds = quick ? 8 : 30;
      const results: Measured[] = [];
      for (const each of STORMS) {
        progress(`${each.title} for ${seconds} s`);
        results.push(
          await measure(processes, daemons, filtered.directory, each.command(seconds + 3), seconds),
        );
      }
      for (const ffrtmp of [filtered, unfiltered]) removeGroups(hierarchies, ffrtmp.cgroupPrefix);
      return report(daemons, results);
    } finally {
      await processes.stop(rules.child);
      rules.cleanUp();
      removeGroups(hierarchies, GROUP);
    }
  },
};

async function startWatch(
  processes: Processes,
  ffrtmp: FfrtmpUnderTest,
  name: string,
  target: string,
  wrapper: string[],
): Promise<Daemon> {
  const path = join(ffrtmp.directory, "watch.log");
  const child = processes.start([...wrapper, ffrtmp.executable, "watch", "--target", target], {
    env: ffrtmp.environment,
    stderr: openSync(path, "a"),
  });
  const log = () => readFileSync(path, "utf8");
  await eventually(`${name} is ready`, () => log().includes("Watching for") || undefined);
  return { name, target, child, hasFound: (pid) => log().includes(`Attaching to PID ${pid} `) };
}

function isInGroup(hierarchies: Mounted[], pid: number): boolean {
  return hierarchies.every(({ directory }) =>
    readFileSync(`${directory}/${GROUP}/cgroup.procs`, "utf8").split("\n").includes(String(pid)),
  );
}

async function measure(
  processes: Processes,
  daemons: Daemon[],
  directory: string,
  command: string[],
  seconds: number,
): Promise<Measured> {
  const started = new Map<Daemon, Bun.Subprocess[]>(daemons.map((daemon) => [daemon, []]));
  const child = processes.start(command);
  await Bun.sleep(1000);
  const before = new Map(daemons.map((daemon) => [daemon, readCpuSeconds(daemon.child.pid)]));
  const forksBefore = readForks();
  const from = performance.now();
  for (let count = 0; count < TARGETS; count++) {
    for (const daemon of daemons) {
      const path = join(directory, daemon.target);
      started.get(daemon)?.push(processes.start([path, String(LIFE_SECONDS)]));
    }
    await Bun.sleep((seconds * 1000) / TARGETS);
  }
  const elapsed = (performance.now() - from) / 1000;
  const share = new Map(
    daemons.map((daemon) => [
      daemon,
      (readCpuSeconds(daemon.child.pid) - (before.get(daemon) ?? 0)) / elapsed,
    ]),
  );
  const forksPerSecond = (readForks() - forksBefore) / elapsed;
  await processes.stop(child);
  const found = new Map<Daemon, number>();
  for (const [daemon, targets] of started) {
    const deadline = performance.now() + PATIENCE_MS;
    const count = () => targets.filter(({ pid }) => daemon.hasFound(pid)).length;
    while (count() < targets.length && performance.now() < deadline) await Bun.sleep(100);
    found.set(daemon, count());
    for (const each of targets) await processes.stop(each);
  }
  return { forksPerSecond, share, found };
}

function report(daemons: Daemon[], results: Measured[]): string {
  const headings = STORMS.flatMap(({ title }) => [`${title}: core`, "targets found"]);
  const rows = daemons.map((daemon) => [
    daemon.name,
    ...results.flatMap(({ share, found }) => [
      `${((share.get(daemon) ?? Number.NaN) * 100).toFixed(2)} %`,
      `${found.get(daemon) ?? 0}/${TARGETS}`,
    ]),
  ]);
  const rates = STORMS.map(
    ({ title }, index) => `${title}: ${Math.round(results[index]?.forksPerSecond ?? 0)}`,
  );
  const [filtered, , theirs] = daemons as [Daemon, Daemon, Daemon];
  const shareOf = (daemon: Daemon) => results.map(({ share }) => share.get(daemon) ?? Number.NaN);
  const reached = shareOf(filtered).map((share, index) => share <= (shareOf(theirs)[index] ?? Number.NaN));
  return [
    markdownTable(["daemon", ...headings], rows),
    "",
    `All three at once, forks a second: ${rates.join(", ")}. A daemon's share includes governing its ${TARGETS} targets.`,
    "",
    ...STORMS.map(({ title }, index) =>
      target(`under ${title}, with the filter, at most the CPU of cgrulesengd`, reached[index] ?? false),
    ),
    target(
      "every target found",
      results.every(({ found }) => daemons.slice(0, 2).every((daemon) => found.get(daemon) === TARGETS)),
    ),
  ].join("\n");
}

// processes 2839212
function readForks(): number {
  return Number(/^processes (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? 0);
}
