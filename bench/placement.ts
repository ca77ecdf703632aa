import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attach } from "../src/jobs/attach/attach.ts";
import { detach } from "../src/jobs/attach/detach.ts";
import { createContext } from "../src/jobs/context.ts";
import { jobCgroupOf } from "../src/jobs/placement/jobCgroup.ts";
import { Ledger } from "../src/ledger/ledger.ts";
import { locateState } from "../src/ledger/location.ts";
import type { Placement } from "../src/linux/cgroup/placement.ts";
import { realHost } from "../src/linux/host.ts";
import { closeFd } from "../src/sys/descriptor.ts";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { median, quantile } from "./lib/statistics.ts";
import { markdownTable, ms } from "./lib/table.ts";

const WAYS = ["in-place", "nested", "scope"] as const satisfies Placement[];
const UNIT = "ffrtmp-bench.service";

/** Compares `attach` in each placement with the one write that moves a process. Needs systemd and cgroup v2. */
export const placement: Benchmark = {
  title: "Placing a running process",
  needs: {},
  async run({ quick }) {
    if (!realHost().bus)
      throw new Error("needs systemd and cgroup v2: scripts/vm.sh exec bun bench/run.ts placement");
    const rounds = quick ? 10 : 50;
    const bare = measureBareMoves(rounds);
    const rows = [["bare write to cgroup.procs", ms(median(bare)), ms(quantile(bare, 0.95)), "1"]];
    for (const way of WAYS) {
      progress(way);
      const times = measure(way, rounds);
      const ratio = (median(times) / median(bare)).toFixed(1);
      rows.push([`attach, ${way}, with a CPU quota`, ms(median(times)), ms(quantile(times, 0.95)), ratio]);
    }
    return markdownTable(["what", "median ms", "95 % ms", "ratio"], rows);
  },
};

function measureBareMoves(rounds: number): number[] {
  const directory = `/sys/fs/cgroup/system.slice/ffrtmp-bench-${process.pid}`;
  mkdirSync(directory);
  try {
    return Array.from({ length: rounds }, () =>
      withUnit((pid, home) => {
        const began = performance.now();
        writeFileSync(`${directory}/cgroup.procs`, String(pid));
        const took = performance.now() - began;
        writeFileSync(`${home}/cgroup.procs`, String(pid));
        return took;
      }),
    );
  } finally {
    rmdirSync(directory);
  }
}

function measure(way: Placement, rounds: number): number[] {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-bench-"));
  const state = locateState(directory, {});
  const context = createContext({
    host: realHost(),
    ledger: new Ledger(state.ledger, console.error),
    state,
    warn() {},
  });
  try {
    return Array.from({ length: rounds }, (_, round) =>
      withUnit((pid) => {
        const wishes = {
          jobId: `bench-${round}`,
          limits: { cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } },
          intent: null,
          slaEligible: false,
          tenant: null,
          labels: {},
          placement: way,
        };
        const began = performance.now();
        const { job, pidfd } = attach(context, pid, wishes);
        const took = performance.now() - began;
        if (pidfd !== undefined) closeFd(pidfd);
        detach(context, job, jobCgroupOf(context, job));
        return took;
      }),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Starts a service of one process, which ends with the round. */
function withUnit(act: (pid: number, home: string) => number): number {
  const words = ["--quiet", "--collect", "--service-type=exec", "--unit", UNIT, "sleep", "600"];
  const started = Bun.spawnSync(["systemd-run", ...words]);
  if (started.exitCode !== 0) throw new Error(started.stderr.toString());
  const home = `/sys/fs/cgroup/system.slice/${UNIT}`;
  try {
    return act(Number(readFileSync(`${home}/cgroup.procs`, "utf8").trim()), home);
  } finally {
    Bun.spawnSync(["systemctl", "stop", UNIT]);
  }
}
