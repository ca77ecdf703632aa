import { type Benchmark, progress } from "./lib/benchmark.ts";
import { governedHierarchies, removeGroups } from "./lib/cgroups.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { eventually, type MemoryKb, Processes, readMemory } from "./lib/processes.ts";
import { median } from "./lib/statistics.ts";
import { markdownTable, target } from "./lib/table.ts";

const MANY = 50;
const SETTLING_MS = 3000;
const MOST_PRIVATE_KB = 6 * 1024;

/** Measures the memory of an `ffrtmp run` that waits for its workload. */
export const footprint: Benchmark = {
  title: "Footprint: memory of a wrapper that waits for its workload",
  needs: {},
  async run({ quick }) {
    const rows: [string, MemoryKb][] = [];
    for (const count of [1, quick ? 10 : MANY]) {
      progress(`${count} at once`);
      rows.push([count === 1 ? "alone" : `${count} at once, each`, await measure(count)]);
    }
    const most = Math.max(...rows.map(([, memory]) => memory.privateDirty));
    return [
      markdownTable(
        ["kB, median", "proportional", "private dirty"],
        rows.map(([name, memory]) => [name, memory.proportional, memory.privateDirty]),
      ),
      "",
      target(
        `at most ${MOST_PRIVATE_KB / 1024} MB private each: ${(most / 1024).toFixed(1)} MB`,
        most <= MOST_PRIVATE_KB,
      ),
    ].join("\n");
  },
};

/** Returns the median of `count` wrappers at once, each with a `sleep` of its own. */
async function measure(count: number): Promise<MemoryKb> {
  using ffrtmp = new FfrtmpUnderTest();
  await using processes = new Processes();
  const wrappers = Array.from({ length: count }, () =>
    processes.start([ffrtmp.executable, "run", "--cpu-quota", "100", "--", "sleep", "600"], {
      env: ffrtmp.environment,
    }),
  );
  const workloads = await Promise.all(
    wrappers.map(({ pid }) => eventually(`the workload of wrapper ${pid}`, () => childOf(pid))),
  );
  try {
    await Bun.sleep(SETTLING_MS);
    const all = wrappers.map(({ pid }) => readMemory(pid));
    const of = (field: keyof MemoryKb): number => median(all.map((memory) => memory[field]));
    return { proportional: of("proportional"), privateDirty: of("privateDirty") };
  } finally {
    // Each wrapper ends by itself after its workload and cleans up.
    for (const pid of workloads) process.kill(pid, "SIGKILL");
    await Promise.all(wrappers.map(({ exited }) => exited));
    removeGroups(governedHierarchies(), ffrtmp.cgroupPrefix);
  }
}

function childOf(pid: number): number | undefined {
  const { stdout } = Bun.spawnSync(["ps", "-o", "pid=", "--ppid", String(pid)]);
  return Number(stdout.toString().trim().split("\n")[0]) || undefined;
}
