import { type Benchmark, progress } from "./lib/benchmark.ts";
import {
  cpuHierarchy,
  cpuSwitch,
  governedHierarchies,
  type Mounted,
  oneCpu,
  removeGroups,
  toolArguments,
} from "./lib/cgroups.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { readMonotonicUsec, StampProgram } from "./lib/stampProgram.ts";
import { median, quantile, shuffled } from "./lib/statistics.ts";
import { markdownTable, ms, target } from "./lib/table.ts";

/** Consecutive starts are in blocks of one kind, because a start of another kind changes the kernel's waiting times. */
const BLOCK = 6;
const BLOCKS = 8;
const SPACED_ROUNDS = 40;
const SPACE_MS = 300;
const GROUP = "ffrtmp-bench-launch";
const MAX_CPU_MS = 8;

interface Way {
  name: string;
  /** Programs that run one after the other, as in an operator's script. One of them starts the workload. */
  commands(number: number): string[][];
  environment?: Record<string, string>;
  /** cgroup v2: false where the cgroup above the job's has the cpu controller off before each start. */
  isCpuGiven?: boolean;
}

interface Sample {
  /** From the start of the first program to the end of the last. */
  totalMs: number;
  /** From the start of the first program to the first instruction of the workload. */
  firstMs: number;
  /** CPU time of all programs and of what they started, the workload included. */
  cpuMs: number;
}

type Samples = Map<Way, Sample[]>;

/** Measures a start under a CPU limit, with the wait for its end and the removal of its cgroup. */
export const launch: Benchmark = {
  title: "Launch: start a command under a CPU limit, wait, clear up",
  needs: { cgcreate: "cgroup-tools" },
  async run({ quick }) {
    using ffrtmp = new FfrtmpUnderTest();
    using other = FfrtmpUnderTest.baseline();
    const stamp = new StampProgram(ffrtmp.directory);
    const hierarchies = governedHierarchies();
    using cpu = cpuSwitch(hierarchies);
    const ours = byFfrtmp("ffrtmp run", ffrtmp, stamp.path);
    const ways: Way[] = [
      { name: "the command alone", commands: () => [[stamp.path]] },
      byTools(hierarchies, stamp.path),
      ours,
      ...(other ? [byFfrtmp("ffrtmp run, the other executable", other, stamp.path)] : []),
      ...(cpu.mayBeOff
        ? [{ ...ours, name: "ffrtmp run, cpu controller off in the cgroup above", isCpuGiven: false }]
        : []),
    ];
    let number = 0;
    const measure = ({ commands, environment }: Way): Sample => {
      const all = commands(number++);
      const env = { ...process.env, ...environment };
      let cpuUsec = 0;
      const fromUsec = readMonotonicUsec();
      for (const cmd of all) {
        const ended = Bun.spawnSync({ cmd, env, stdio: ["ignore", stamp.stdout, "ignore"] });
        if (ended.exitCode !== 0) throw new Error(`${cmd.join(" ")} ended with ${ended.exitCode}`);
        // Source: wait4(2). It includes the descendants that the program has waited for.
        cpuUsec += Number(ended.resourceUsage?.cpuTime.total);
      }
      const totalMs = (readMonotonicUsec() - fromUsec) / 1000;
      return { totalMs, cpuMs: cpuUsec / 1000, firstMs: stamp.msSince(fromUsec) };
    };
    try {
      progress("back to back");
      const together: Samples = new Map(ways.map((way) => [way, []]));
      for (let block = 0; block < (quick ? 3 : BLOCKS); block++) {
        for (const way of shuffled(ways)) {
          for (let run = 0; run <= BLOCK; run++) {
            cpu.set(way.isCpuGiven ?? true);
            const sample = measure(way);
            // The first of a block includes the kernel's work that the block before has left.
            if (run > 0) together.get(way)?.push(sample);
          }
        }
      }
      progress(`spaced: one every ${SPACE_MS} ms`);
      const spaced: Samples = new Map(ways.map((way) => [way, []]));
      for (let round = 0; round < (quick ? 8 : SPACED_ROUNDS); round++) {
        for (const way of shuffled(ways)) {
          cpu.set(way.isCpuGiven ?? true);
          await Bun.sleep(SPACE_MS);
          spaced.get(way)?.push(measure(way));
        }
      }
      return [
        tableOf(ways, together, spaced),
        `${together.get(ours)?.length} starts of each back to back, ${spaced.get(ours)?.length} spaced.` +
          ` ${placeOf(ffrtmp, hierarchies)}`,
        targets(ways, together, spaced, cpuHierarchy(hierarchies).hierarchy.version).join("\n"),
      ].join("\n\n");
    } finally {
      removeGroups(hierarchies, GROUP);
    }
  },
};

function byFfrtmp(name: string, { executable, environment }: FfrtmpUnderTest, workload: string): Way {
  const commands = (): string[][] => [[executable, "run", "--cpu-quota", "100", "--", workload]];
  return { name, environment, commands };
}

function byTools(hierarchies: Mounted[], workload: string): Way {
  const { file, text } = oneCpu(hierarchies);
  const above = cpuHierarchy(hierarchies).path.slice(1);
  return {
    name: "cgcreate, cgset, cgexec, cgdelete",
    commands(number) {
      const name = `${GROUP}-${number}`;
      const groups = toolArguments(hierarchies, name);
      return [
        ["cgcreate", ...groups],
        ["cgset", "-r", `${file}=${text}`, above === "" ? name : `${above}/${name}`],
        ["cgexec", ...groups, workload],
        ["cgdelete", ...groups],
      ];
    },
  };
}

/** Says where a job is in cgroup v2, because the figures depend on it. */
function placeOf({ executable, environment }: FfrtmpUnderTest, hierarchies: Mounted[]): string {
  const { hierarchy, own, directory } = cpuHierarchy(hierarchies);
  if (hierarchy.version === 1) return "cgroup v1.";
  const { stdout } = Bun.spawnSync({
    cmd: [executable, "run", "--cpu-quota", "100", "--", "cat", "/proc/self/cgroup"],
    env: { ...process.env, ...environment },
    stderr: "ignore",
  });
  // 0::/machine/ffrtmp-3f00aa-cat-260102-150405-1f3a
  const path = /^0::(.*)\/[^/]+$/m.exec(stdout.toString())?.[1];
  const job = path === undefined ? undefined : `${hierarchy.mountPoint}${path}`;
  const place =
    job === own
      ? "below the cgroup of its caller"
      : job === directory
        ? "beside the cgroup of its caller"
        : "in a scope of its own";
  return `cgroup v2, each job ${place}${own === hierarchy.mountPoint ? ", which is the outermost one" : ""}.`;
}

function tableOf(ways: Way[], together: Samples, spaced: Samples): string {
  const rows = ways.map((way) => {
    const of = (samples: Samples, field: keyof Sample): number[] =>
      (samples.get(way) ?? []).map((sample) => sample[field]);
    return [
      way.name,
      ms(median(of(together, "totalMs"))),
      ms(quantile(of(together, "totalMs"), 0.9)),
      ms(median(of(together, "firstMs"))),
      ms(median(of(together, "cpuMs"))),
      ms(median(of(spaced, "totalMs"))),
      ms(quantile(of(spaced, "totalMs"), 0.9)),
      ms(median(of(spaced, "firstMs"))),
    ];
  });
  const headings = [
    "back to back",
    "p90",
    "first instruction",
    "CPU time",
    "spaced",
    "p90",
    "first instruction",
  ];
  return markdownTable(["ms", ...headings], rows);
}

function targets(ways: Way[], together: Samples, spaced: Samples, version: 1 | 2): string[] {
  const [, tools, ours] = ways as [Way, Way, Way];
  const middle = (samples: Samples, way: Way, field: keyof Sample): number =>
    median((samples.get(way) ?? []).map((sample) => sample[field]));
  const compare = (what: string, samples: Samples, field: keyof Sample, most: number): string => {
    const ratio = middle(samples, ours, field) / middle(samples, tools, field);
    return target(`${what}, at most ${most} times cgroup-tools: ${ratio.toFixed(2)}`, ratio <= most);
  };
  const cpuMs = middle(together, ours, "cpuMs");
  return [
    compare("back to back", together, "totalMs", 1),
    // On v1 the tools wait for the kernel when they move the workload; on v2 there is no other target than theirs.
    compare("spaced", spaced, "totalMs", version === 1 ? 0.45 : 1),
    compare("first instruction, back to back", together, "firstMs", 1.1),
    target(`CPU time at most ${MAX_CPU_MS} ms: ${cpuMs.toFixed(1)}`, cpuMs <= MAX_CPU_MS),
  ];
}
