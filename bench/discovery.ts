import {
  copyFileSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setOrdinaryScheduling, setRealtimeSchedulingOfAllThreads } from "../src/sys/scheduling.ts";
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
import { type FromStarter, preciseNowMs, Starter } from "./lib/starter.ts";
import { quantile } from "./lib/statistics.ts";
import { markdownTable, ms, target } from "./lib/table.ts";

const LIFE_MS = 50;
/** Programs that want a CPU all the time. */
const BUSY = 15;
const SETTLE_MS = 2000;
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
        const floor: Floor = { afterPause: [], afterExec: [] };
        const stay = new Map<Governor, Sample>();
        const short = new Map<Governor, Sample>();
        for (const governor of governors) {
          progress(`${governor.name}${isLoaded ? ", under stress-ng --fork 2" : ""}`);
          await using processes = new Processes();
          await measureFloor(hierarchies, quick ? 15 : 60, floor);
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
      const busy = await observeBesideBusy(governors.slice(0, 2), hierarchies, directory, quick ? 60 : 300);
      const ours = busy.get("ffrtmp watch") as Sample;
      parts.push(`Beside \`stress-ng --cpu ${BUSY}\`, lives of ${LIFE_MS} ms:\n\n${renderRows(busy)}`);
      verdicts.push(target(`beside ${BUSY} busy programs, none missed: ${ours.missed}`, ours.missed === 0));
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

/** This program is ahead of the load too: it would otherwise be the one that is late. */
async function observeBesideBusy(
  governors: Governor[],
  hierarchies: Mounted[],
  directory: string,
  count: number,
): Promise<Map<string, Sample>> {
  const samples = new Map<string, Sample>();
  await using load = new Processes();
  load.start(["stress-ng", "--cpu", String(BUSY), "--timeout", "900s", "--quiet"]);
  for (const governor of governors) {
    progress(`${governor.name}, beside ${BUSY} busy programs`);
    await using processes = new Processes();
    const { child, cleanUp } = await governor.start(processes);
    try {
      // At its start, a governor considers the processes that ran before it.
      await Bun.sleep(SETTLE_MS);
      setRealtimeSchedulingOfAllThreads();
      const sample = await observe(governor, hierarchies, directory, count, LIFE_MS);
      samples.set(governor.name, sample);
    } finally {
      for (const tid of readdirSync("/proc/self/task")) setOrdinaryScheduling(Number(tid));
      await processes.stop(child);
      cleanUp();
      if (governor.groupPrefix !== GROUP) removeGroups(hierarchies, governor.groupPrefix);
    }
  }
  return samples;
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
  let pending: FromStarter[] = [];
  await using starter = new Starter((started) => void pending.push(started));
  let nextMs = preciseNowMs();
  for (let started = 0; sample.latenciesMs.length + sample.missed < count; ) {
    if (started < count && preciseNowMs() >= nextMs) {
      starter.start(cmd);
      started++;
      const [least, most] = governor.gapMs;
      nextMs = preciseNowMs() + (least + Math.random() * (most - least)) * gapShare;
    }
    pending = pending.filter(({ pid, execMs }) => {
      const ageMs = preciseNowMs() - execMs;
      const isGoverned = isIn(pid, governor.groupPrefix, hierarchies);
      if (isGoverned) sample.latenciesMs.push(ageMs);
      else if (ageMs < (lifeMs === null ? PATIENCE_MS : lifeMs + 100)) return true;
      else sample.missed++;
      starter.end(pid);
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

/** Times of one write of a pid to a cgroup.procs file, ms: no program can move a process faster. */
interface Floor {
  afterPause: number[];
  /** Right after a process has executed a program, as every discovered one has: that leaves the kernel work to wait for. */
  afterExec: number[];
}

async function measureFloor(hierarchies: Mounted[], count: number, floor: Floor): Promise<void> {
  const cpu = cpuHierarchy(hierarchies);
  const sleeper = Bun.spawn({ cmd: ["sleep", "600"], stdio: ["ignore", "ignore", "ignore"] });
  try {
    for (let round = 0; round < 2 * count; round++) {
      await Bun.sleep(20 + Math.random() * 100);
      const group = round % 2 === 0 ? `${cpu.directory}/${FLOOR_GROUP}` : cpu.own;
      const isAfterExec = round % 4 >= 2;
      const other = isAfterExec
        ? Bun.spawn({ cmd: ["sleep", "600"], stdio: ["ignore", "ignore", "ignore"] })
        : null;
      const from = performance.now();
      writeFileSync(`${group}/cgroup.procs`, String(sleeper.pid));
      (isAfterExec ? floor.afterExec : floor.afterPause).push(performance.now() - from);
      other?.kill("SIGKILL");
      await other?.exited;
    }
  } finally {
    sleeper.kill("SIGKILL");
    await sleeper.exited;
  }
}

function renderPart(
  isLoaded: boolean,
  governors: Governor[],
  floor: Floor,
  stay: Map<Governor, Sample>,
  short: Map<Governor, Sample>,
): string {
  const rows = new Map(
    governors.flatMap((governor) => [
      [`${governor.name}: processes that stay`, stay.get(governor) as Sample],
      [`${governor.name}: lives of ${LIFE_MS} ms`, short.get(governor) as Sample],
    ]),
  );
  rows.set("floor: one sporadic cgroup.procs write", { latenciesMs: floor.afterPause, missed: 0 });
  rows.set("the same write right after an exec", { latenciesMs: floor.afterExec, missed: 0 });
  const title = isLoaded ? "Under `stress-ng --fork 2`:" : "On the machine as it is:";
  return `${title}\n\n${renderRows(rows)}`;
}

function renderRows(samples: Map<string, Sample>): string {
  const rows = [...samples].map(([name, { latenciesMs, missed }]) => [
    name,
    `${latenciesMs.length}/${latenciesMs.length + missed}`,
    ...[0.5, 0.95, 0.99, 1].map((share) => ms(quantile(latenciesMs, share))),
  ]);
  return markdownTable(["ms", "found", "p50", "p95", "p99", "max"], rows);
}

function judge(
  isLoaded: boolean,
  [ours, rules]: Governor[],
  floor: Floor,
  stay: Map<Governor, Sample>,
  short: Map<Governor, Sample>,
): string[] {
  const sample = stay.get(ours as Governor) as Sample;
  const theirs = stay.get(rules as Governor) as Sample;
  const ratio = quantile(sample.latenciesMs, 0.5) / quantile(floor.afterPause, 0.5);
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
