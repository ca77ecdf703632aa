import { copyFileSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import {
  cpuHierarchy,
  cpuSwitch,
  directoryOfProcess,
  governedHierarchies,
  type Mounted,
  makeGroup,
  oneCpu,
  readKnob,
  removeGroups,
  setKnob,
} from "./lib/cgroups.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { eventually, Processes } from "./lib/processes.ts";
import { startRulesDaemon } from "./lib/rulesDaemon.ts";
import { quantile } from "./lib/statistics.ts";
import { markdownTable, ms, target } from "./lib/table.ts";

const LIFE_MS = 50;
const GROUP = "ffrtmp-bench-rules";
const FLOOR_GROUP = "ffrtmp-bench-floor";
/** How long the discovery of a process that stays may take before the process counts as missed. */
const PATIENCE_MS = 10_000;
const LOOK_EVERY_MS = 0.2;

/** A program that moves processes of a certain name into a cgroup with a limit. */
interface Governor {
  name: string;
  processName: string;
  /** The name of the cgroup that a governed process is in. */
  groupPrefix: string;
  stay: number;
  short: number;
  gapMs: [least: number, most: number];
  start(processes: Processes): Promise<{ child: Bun.Subprocess; cleanUp: () => void }>;
}

interface Sample {
  latenciesMs: number[];
  missed: number;
}

/** Measures the time from an exec until the process is in its cgroup in every hierarchy, with its limit written. */
export const discovery: Benchmark = {
  title: "Discovery: from exec to inside the governing cgroup",
  needs: { cgrulesengd: "cgroup-tools", "stress-ng": "stress-ng", unshare: "util-linux" },
  async run({ quick }) {
    using ffrtmp = new FfrtmpUnderTest();
    const hierarchies = governedHierarchies();
    using cpu = cpuSwitch(hierarchies);
    cpu.set(true);
    const directory = mkdtempSync(join(tmpdir(), "ffrtmp-bench-targets-"));
    const counts = quick ? { stay: 40, short: 100 } : { stay: 300, short: 1000 };
    const watch = (name: string, processName: string, extra: string[], few: boolean): Governor => ({
      name,
      processName,
      groupPrefix: ffrtmp.cgroupPrefix,
      stay: few ? counts.stay / 5 : counts.stay,
      short: few ? counts.short / 5 : counts.short,
      gapMs: [20, 120],
      start: (processes) => startWatch(processes, ffrtmp, processName, extra),
    });
    const governors: Governor[] = [
      watch("ffrtmp watch", "ffb-watch", [], false),
      {
        ...watch("cgrulesengd", "ffb-rules", [], false),
        groupPrefix: GROUP,
        start: (processes) => startRulesDaemon(processes, hierarchies, "ffb-rules", GROUP),
      },
      watch(
        "ffrtmp watch --events polling --scan-interval 1s",
        "ffb-poll",
        ["--events", "polling", "--scan-interval", "1s"],
        true,
      ),
    ];
    try {
      const { file, text } = oneCpu(hierarchies);
      makeGroup(hierarchies, GROUP);
      setKnob(hierarchies, "cpu", GROUP, file, text);
      makeGroup(hierarchies, FLOOR_GROUP);
      for (const { processName } of governors) copyFileSync("/bin/sleep", join(directory, processName));
      const parts: string[] = [];
      const verdicts: string[] = [];
      for (const isLoaded of [false, true]) {
        await using load = new Processes();
        if (isLoaded) load.start(["stress-ng", "--fork", "2", "--timeout", "900s", "--quiet"]);
        const floor: number[] = [];
        const stay = new Map<Governor, Sample>();
        const short = new Map<Governor, Sample>();
        for (const governor of governors) {
          progress(`${governor.name}${isLoaded ? ", under stress-ng --fork 2" : ""}`);
          await using processes = new Processes();
          floor.push(...(await measureFloor(hierarchies, quick ? 15 : 60)));
          const { child, cleanUp } = await governor.start(processes);
          try {
            stay.set(governor, await observe(governor, hierarchies, directory, governor.stay, null));
            short.set(governor, await observe(governor, hierarchies, directory, governor.short, LIFE_MS));
          } finally {
            await processes.stop(child);
            cleanUp();
            if (governor.groupPrefix !== GROUP) removeGroups(hierarchies, governor.groupPrefix);
          }
        }
        parts.push(renderPart(isLoaded, governors, floor, stay, short));
        verdicts.push(...judge(isLoaded, governors, floor, stay, short));
      }
      return `${parts.join("\n\n")}\n\n${verdicts.join("\n")}`;
    } finally {
      removeGroups(hierarchies, GROUP);
      removeGroups(hierarchies, FLOOR_GROUP);
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

async function startWatch(
  processes: Processes,
  ffrtmp: FfrtmpUnderTest,
  processName: string,
  extra: string[],
): Promise<{ child: Bun.Subprocess; cleanUp: () => void }> {
  const log = join(ffrtmp.directory, `${processName}.log`);
  const child = processes.start(
    [ffrtmp.executable, "watch", "--target", processName, "--cpu-quota", "100", ...extra],
    { env: ffrtmp.environment, stderr: openSync(log, "a") },
  );
  await eventually("ffrtmp watch is ready", () =>
    readFileSync(log, "utf8").includes("Watching for") ? true : undefined,
  );
  return { child, cleanUp: () => rmSync(log, { force: true }) };
}

interface Pending {
  child: Bun.Subprocess;
  execMs: number;
}

/** Starts processes at irregular times and polls each until it is governed or its time is over. */
async function observe(
  governor: Governor,
  hierarchies: Mounted[],
  directory: string,
  count: number,
  lifeMs: number | null,
): Promise<Sample> {
  const sample: Sample = { latenciesMs: [], missed: 0 };
  const cmd = [join(directory, governor.processName), lifeMs === null ? "600" : String(lifeMs / 1000)];
  const gapShare = lifeMs === null ? 1 : 0.3;
  let pending: Pending[] = [];
  let nextMs = performance.now();
  for (let started = 0; started < count || pending.length > 0; ) {
    if (started < count && performance.now() >= nextMs) {
      const child = Bun.spawn({ cmd, stdio: ["ignore", "ignore", "ignore"] });
      // Spawning returns when the child has executed its program: the kernel reports the exec at the same moment.
      pending.push({ child, execMs: performance.now() });
      started++;
      const [least, most] = governor.gapMs;
      nextMs = performance.now() + (least + Math.random() * (most - least)) * gapShare;
    }
    pending = pending.filter((process) => {
      const ageMs = performance.now() - process.execMs;
      const isGoverned = isIn(process.child.pid, governor.groupPrefix, hierarchies);
      if (isGoverned) sample.latenciesMs.push(ageMs);
      else if (ageMs < (lifeMs === null ? PATIENCE_MS : lifeMs + 100)) return true;
      else sample.missed++;
      process.child.kill("SIGKILL");
      return false;
    });
    Atomics.wait(clock, 0, 0, LOOK_EVERY_MS);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return sample;
}

/** For waits of less than a millisecond: it is never notified. */
const clock = new Int32Array(new SharedArrayBuffer(4));

// 4:cpu:/ffrtmp-3f00aa-auto-ffb-watch-4026
function isIn(pid: number, groupPrefix: string, hierarchies: Mounted[]): boolean {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  } catch {
    return false;
  }
  const names = text.split(`/${groupPrefix}`).length - 1;
  if (names < hierarchies.length) return false;
  const cpu = cpuHierarchy(hierarchies);
  const directory = directoryOfProcess(pid, cpu);
  return (
    directory !== undefined && Number.parseInt(readKnob(directory, oneCpu(hierarchies).file) ?? "", 10) > 0
  );
}

/** Measures one write of a pid to a cgroup.procs file after a pause: no program can move a process faster. */
async function measureFloor(hierarchies: Mounted[], count: number): Promise<number[]> {
  const times: number[] = [];
  const cpu = cpuHierarchy(hierarchies);
  const sleeper = Bun.spawn({ cmd: ["sleep", "600"], stdio: ["ignore", "ignore", "ignore"] });
  try {
    for (let round = 0; round < count; round++) {
      await Bun.sleep(20 + Math.random() * 100);
      const group = round % 2 === 0 ? `${cpu.directory}/${FLOOR_GROUP}` : cpu.own;
      const from = performance.now();
      writeFileSync(`${group}/cgroup.procs`, String(sleeper.pid));
      times.push(performance.now() - from);
    }
  } finally {
    sleeper.kill("SIGKILL");
    await sleeper.exited;
  }
  return times;
}

function renderPart(
  isLoaded: boolean,
  governors: Governor[],
  floor: number[],
  stay: Map<Governor, Sample>,
  short: Map<Governor, Sample>,
): string {
  const cells = (latenciesMs: number[]): string[] =>
    [0.5, 0.95, 0.99, 1].map((share) => ms(quantile(latenciesMs, share)));
  const row = (name: string, { latenciesMs, missed }: Sample): (string | number)[] => [
    name,
    `${latenciesMs.length}/${latenciesMs.length + missed}`,
    ...cells(latenciesMs),
  ];
  const rows = governors.flatMap((governor) => [
    row(`${governor.name}: processes that stay`, stay.get(governor) as Sample),
    row(`${governor.name}: lives of ${LIFE_MS} ms`, short.get(governor) as Sample),
  ]);
  rows.push(["floor: one sporadic cgroup.procs write", floor.length, ...cells(floor)]);
  const title = isLoaded ? "Under `stress-ng --fork 2`:" : "On the machine as it is:";
  return `${title}\n\n${markdownTable(["ms", "found", "p50", "p95", "p99", "max"], rows)}`;
}

function judge(
  isLoaded: boolean,
  [ours, rules]: Governor[],
  floor: number[],
  stay: Map<Governor, Sample>,
  short: Map<Governor, Sample>,
): string[] {
  const sample = stay.get(ours as Governor) as Sample;
  const theirs = stay.get(rules as Governor) as Sample;
  const ratio = quantile(sample.latenciesMs, 0.5) / quantile(floor, 0.5);
  const p99 = quantile(sample.latenciesMs, 0.99);
  const p95 = quantile(theirs.latenciesMs, 0.95);
  const missed = sample.missed + (short.get(ours as Governor) as Sample).missed;
  const where = isLoaded ? "under load, " : "";
  return [
    target(`${where}p50 at most 1.3 times the floor: ${ratio.toFixed(2)}`, ratio <= 1.3),
    target(`${where}p99 below cgrulesengd's p95: ${ms(p99)} and ${ms(p95)} ms`, p99 < p95),
    target(`${where}none missed: ${missed}`, missed === 0),
  ];
}
