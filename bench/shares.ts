import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { readHierarchies } from "../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../src/linux/host.ts";
import { readCpus } from "../src/metrics/machine.ts";
import { sharesOf } from "../src/metrics/shares/model.ts";
import { ShareTreeReader } from "../src/metrics/shares/shareTree.ts";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { cpuHierarchy, governedHierarchies } from "./lib/cgroups.ts";
import { markdownTable } from "./lib/table.ts";

/** A group of busy loops, with its children. */
interface Fighter {
  name: string;
  loops: number;
  files?: Record<string, string>;
  children?: Fighter[];
}

const weight = (value: number) => ({ "cpu.shares": String(Math.round((value * 1024) / 100)) });

const TREES: Record<string, Fighter[]> = {
  "siblings with 1, 2 and 4 threads": [
    { name: "a", loops: 1 },
    { name: "b", loops: 2 },
    { name: "c", loops: 4 },
  ],
  "weights 50, 100 and 250": [
    { name: "a", loops: 2, files: weight(50) },
    { name: "b", loops: 2, files: weight(100) },
    { name: "c", loops: 2, files: weight(250) },
  ],
  "weight 1 on a leaf whose owner has 100": [
    { name: "owner", loops: 0, children: [{ name: "leaf", loops: 2, files: weight(1) }] },
    { name: "b", loops: 2 },
  ],
  "beside 5 threads in no group": [{ name: "loose", loops: 5, children: [{ name: "job", loops: 2 }] }],
  "a quota of 0.3 cores": [
    { name: "a", loops: 2, files: { "cpu.cfs_quota_us": "30000" } },
    { name: "b", loops: 2 },
    { name: "c", loops: 2 },
  ],
  "cpu.idle": [
    { name: "a", loops: 2, files: { "cpu.idle": "1" } },
    { name: "b", loops: 2 },
  ],
};
/** So much more than everything else on the machine that the fights are among themselves. */
const PARENT = weight(25_000);

/** Compares the shares of the model with what busy loops get. Needs cgroup v1. */
export const shares: Benchmark = {
  title: "What groups get, and what the model says",
  needs: {},
  async run({ quick }) {
    const { hierarchy, directory } = cpuHierarchy(governedHierarchies());
    if (hierarchy.version !== 1) throw new Error("needs the cpu controller of cgroup v1");
    const parent = `${directory}/ffrtmp-bench-shares-${process.pid}`;
    const rows: string[][] = [];
    for (const [name, fighters] of Object.entries(TREES)) {
      progress(name);
      rows.push(...(await fight(name, parent, fighters, quick ? 1500 : 5000)));
    }
    return markdownTable(["tree", "group", "model, cores", "measured, cores"], rows);
  },
};

interface Entered {
  path: string;
  name: string;
  loops: Bun.Subprocess[];
}

async function fight(
  title: string,
  parent: string,
  fighters: Fighter[],
  durationMs: number,
): Promise<string[][]> {
  const host = realHost();
  const entered: Entered[] = [];
  makeGroup(parent, PARENT);
  try {
    for (const fighter of fighters) enter(parent, fighter, entered);
    const leaves = entered.filter(({ loops }) => loops.length > 0);
    const loose = leaves.filter(({ path }) => entered.some((other) => other.path.startsWith(`${path}/`)));
    const jobs = leaves
      .filter((each) => !loose.includes(each))
      .map(({ path, name }) => ({ path, name, threadsFile: "tasks", pid: process.pid }));
    const reader = new ShareTreeReader(host, readHierarchies(host));
    // The loops must have joined their groups.
    await Bun.sleep(300);
    reader.read(jobs);
    const [before, beganMs] = [leaves.map(usedSeconds), performance.now()];
    await Bun.sleep(durationMs);
    const after = leaves.map(usedSeconds);
    const elapsed = (performance.now() - beganMs) / 1000;
    const root = reader.read(jobs);
    const model = root && sharesOf(root, readCpus(host).cpuCount);
    return leaves
      .filter((each) => !loose.includes(each))
      .map(({ name, path }) => {
        const index = leaves.findIndex((each) => each.path === path);
        const measured = ((after[index] ?? 0) - (before[index] ?? 0)) / elapsed;
        return [title, name, (model?.get(path) ?? Number.NaN).toFixed(2), measured.toFixed(2)];
      });
  } finally {
    for (const { loops } of entered) for (const loop of loops) loop.kill("SIGKILL");
    await Promise.all(entered.flatMap(({ loops }) => loops.map((loop) => loop.exited)));
    for (const { path } of entered.toReversed()) rmdirSync(path);
    rmdirSync(parent);
  }
}

function makeGroup(path: string, files: Record<string, string>): void {
  mkdirSync(path);
  for (const [file, text] of Object.entries(files)) writeFileSync(`${path}/${file}`, text);
}

function enter(
  parent: string,
  { name, loops, files = {}, children = [] }: Fighter,
  entered: Entered[],
): void {
  const path = `${parent}/${name}`;
  makeGroup(path, files);
  const started = Array.from({ length: loops }, () =>
    Bun.spawn(["sh", "-c", `echo 0 > ${path}/cgroup.procs; while :; do :; done`]),
  );
  entered.push({ path, name, loops: started });
  for (const child of children) enter(path, child, entered);
}

/** The loops have one thread each. The first number of schedstat is the time on a CPU, in ns. */
function usedSeconds({ loops }: Entered): number {
  const used = loops.map(({ pid }) => Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]));
  return used.reduce((sum, nsec) => sum + nsec / 1e9, 0);
}
