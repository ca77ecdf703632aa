import { type Benchmark, progress } from "./lib/benchmark.ts";
import { governedHierarchies, removeGroups, toolArguments } from "./lib/cgroups.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { median, quantile, shuffled } from "./lib/statistics.ts";
import { markdownTable, ms, target } from "./lib/table.ts";

/** Consecutive starts are in blocks of one kind, because a start of another kind changes the kernel's waiting times. */
const BLOCK = 6;
const BLOCKS = 8;
const SPACED_ROUNDS = 40;
const SPACE_MS = 300;
const GROUP = "ffrtmp-bench-launch";

interface Way {
  name: string;
  /** Programs that run one after the other, as in an operator's script. */
  commands(number: number): string[][];
}

/** Measures a start of `true` under a CPU limit, with the wait for its end and the removal of its cgroup. */
export const launch: Benchmark = {
  title: "Launch: start a command under a CPU limit, wait, clear up",
  needs: { cgcreate: "cgroup-tools" },
  async run({ quick }) {
    using ffrtmp = new FfrtmpUnderTest();
    const hierarchies = governedHierarchies();
    const ways: Way[] = [
      { name: "the command alone", commands: () => [["true"]] },
      { name: "cgcreate, cgset, cgexec, cgdelete", commands: (number) => byTools(number) },
      {
        name: "ffrtmp run",
        commands: () => [[ffrtmp.executable, "run", "--cpu-quota", "100", "--", "true"]],
      },
    ];
    const byTools = (number: number): string[][] => {
      const groups = toolArguments(hierarchies, `${GROUP}-${number}`);
      const path = (groups.find((word) => /(^|,)cpu[,:]/.test(word)) ?? "").split(":")[1] as string;
      return [
        ["cgcreate", ...groups],
        ["cgset", "-r", "cpu.cfs_quota_us=100000", path],
        ["cgexec", ...groups, "true"],
        ["cgdelete", ...groups],
      ];
    };
    const environment = { ...process.env, ...ffrtmp.environment };
    let number = 0;
    const time = ({ commands }: Way): number => {
      const all = commands(number++);
      const from = performance.now();
      for (const cmd of all) {
        const { exitCode } = Bun.spawnSync({ cmd, env: environment, stdio: ["ignore", "ignore", "ignore"] });
        if (exitCode !== 0) throw new Error(`${cmd.join(" ")} ended with ${exitCode}`);
      }
      return performance.now() - from;
    };
    try {
      for (const way of ways) time(way);
      progress("back to back");
      const together = timesOf(ways);
      for (let block = 0; block < (quick ? 3 : BLOCKS); block++) {
        for (const way of shuffled(ways)) {
          // The first of a block includes the kernel's work that the block before has left.
          time(way);
          for (let run = 0; run < BLOCK; run++) together.get(way)?.push(time(way));
        }
      }
      progress(`spaced: one every ${SPACE_MS} ms`);
      const spaced = timesOf(ways);
      for (let round = 0; round < (quick ? 8 : SPACED_ROUNDS); round++) {
        for (const way of shuffled(ways)) {
          await Bun.sleep(SPACE_MS);
          spaced.get(way)?.push(time(way));
        }
      }
      return report(ways, together, spaced);
    } finally {
      removeGroups(hierarchies, GROUP);
    }
  },
};

function timesOf(ways: Way[]): Map<Way, number[]> {
  return new Map(ways.map((way) => [way, []]));
}

function report(ways: Way[], together: Map<Way, number[]>, spaced: Map<Way, number[]>): string {
  const of = (times: Map<Way, number[]>, way: Way | undefined): number[] => (way && times.get(way)) ?? [];
  const [, tools, ours] = ways;
  const ratio = (times: Map<Way, number[]>): number => median(of(times, ours)) / median(of(times, tools));
  const rows = ways.map((way) => [
    way.name,
    ms(median(of(together, way))),
    ms(quantile(of(together, way), 0.9)),
    ms(median(of(spaced, way))),
    ms(quantile(of(spaced, way), 0.9)),
  ]);
  const counts = `${of(together, ours).length} starts of each back to back, ${of(spaced, ours).length} spaced.`;
  return [
    markdownTable(["ms", "back to back", "p90", "spaced", "p90"], rows),
    "",
    counts,
    "",
    target(
      `spaced, faster than cgroup-tools: ${ratio(spaced).toFixed(2)} times their time`,
      ratio(spaced) < 1,
    ),
    target(
      `back to back, at most 1.5 times cgroup-tools: ${ratio(together).toFixed(2)}`,
      ratio(together) <= 1.5,
    ),
  ].join("\n");
}
