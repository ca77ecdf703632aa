import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import { differencesFrom, settledSnapshot, useUnits } from "../support/vm/units.ts";
import { attachIn, inView } from "../support/vm/views.ts";

const sandbox = useSandbox();
const units = useUnits();
const LIMITS = "--cpu-quota 50 --pids-max 30";
/** Mounts cgroups as a container does, with the own cgroup as the root. */
const REMOUNT = "umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup\n";

// biome-ignore lint/suspicious/noExplicitAny: the JSON has many shapes
async function limitsOf(jobId: string): Promise<any[]> {
  return (await sandbox().json(["inspect", jobId])).limits;
}

vmTest(
  "in a cgroup namespace with the host's cgroup mount jobs run without limits, and the warning says why",
  async () => {
    const before = await settledSnapshot();
    const { code, stdout, stderr } = inView(
      sandbox(),
      units,
      ["--cgroup"],
      `$ffrtmp run --job-id born ${LIMITS} -- cat /proc/self/cgroup
sleep 1000 & ${attachIn("$!", "taken", LIMITS)}
kill $observer; wait $observer || :
$ffrtmp detach taken
$ffrtmp doctor || echo doctor $?`,
    );
    expect(code).toBe(0);
    expect(stdout).toStartWith("0::/\n");
    const because =
      "its v2 cgroup / cannot be found below /sys/fs/cgroup, which was mounted outside of this cgroup namespace";
    expect(stderr).toContain(`job born runs without cpu.max, pids.max (${because})`);
    expect(stderr).toContain(`job taken runs without cpu.max, pids.max (${because})`);
    expect(stdout).toMatch(/^visible cgroups +NO +only the cgroups of a cgroup namespace/m);
    expect(stdout).toMatch(/^cpu.max +NO +its v2 cgroup \/ cannot be found below/m);
    expect(stdout).toEndWith("doctor 1\n");
    for (const job of ["born", "taken"])
      expect(await limitsOf(job)).toMatchObject(Array(2).fill({ outcome: "unsupported", because }));
    expect(await differencesFrom(before, [])).toEqual({});
  },
);

vmTest("in a cgroup namespace with its own cgroup mount jobs are limited below its own cgroup", async () => {
  const outside = sandbox().spawn(["sleep", "1000"], { stdout: "ignore", stderr: "ignore" });
  // With the weight, systemd enables the cpu controller for all units of the slice.
  await units.start("ffrtmp-weighed", ["-p", "CPUWeight=50"], "exec sleep 1000", "sleep");
  const before = await settledSnapshot();
  const { code, stdout, stderr } = inView(
    sandbox(),
    units,
    ["--cgroup", "--mount"],
    `${REMOUNT}$ffrtmp run --job-id born ${LIMITS} -- cat /proc/self/cgroup
sleep 1000 & inner=$!
${attachIn("$inner", "taken", LIMITS)}
cat /proc/$inner/cgroup /sys/fs/cgroup/ffrtmp-*-taken/cpu.max
kill $observer; wait $observer || :
$ffrtmp detach taken
cat /proc/$inner/cgroup
${attachIn(String(outside.pid), "beyond", `${LIMITS} --placement in-place`)}
kill $observer; wait $observer || :
$ffrtmp detach beyond
$ffrtmp doctor | grep max || :`,
  );
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stdout).toMatch(/^0::\/ffrtmp-\w{6}-born\n0::\/ffrtmp-\w{6}-taken\n50000 100000\n/);
  expect(stdout).toContain("\n0::/\n");
  expect(stdout).toMatch(/^cpu.max +yes +read back as 50000 100000$/m);
  for (const job of ["born", "taken"])
    expect(await limitsOf(job)).toMatchObject([
      { limit: "cpu.max", outcome: "applied", actual: "50000 100000" },
      { limit: "pids.max", outcome: "applied", actual: "30" },
    ]);
  // A process outside is observed, and the warning says why it has no limits.
  expect(stderr).toMatch(
    /job beyond runs without cpu.max, pids.max \(its v2 cgroup \/\.\.\/\S+ is outside of this cgroup namespace\)/,
  );
  expect(await differencesFrom(before, [])).toEqual({});
});

vmTest("attach from outside limits a process in a cgroup namespace without moving it out", async () => {
  const pid = await units.start("ffrtmp-inner", [], "exec unshare --cgroup perl -e 'sleep 1000'", "perl");
  const cgroup = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  const before = await settledSnapshot();
  const attach = (placement: string) => {
    const words = ["attach", "--pid", String(pid), "--job-id", placement, "--placement", placement];
    return [...words, ...LIMITS.split(" ")];
  };
  for (const placement of ["auto", "nested"]) {
    const observer = sandbox().start(attach(placement), { stdout: "ignore", stderr: "ignore" });
    await until("the process is governed", async () => {
      if (observer.exitCode !== null) throw new Error(`attach ended with ${observer.exitCode}`);
      const { code, stdout } = await sandbox().run(["inspect", placement, "--json"]);
      return code === 0 && JSON.parse(stdout).state === "running";
    });
    expect(await limitsOf(placement)).toMatchObject(Array(2).fill({ outcome: "applied" }));
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toStartWith(cgroup.trim());
    observer.kill("SIGTERM");
    await observer.exited;
    expect((await sandbox().run(["detach", placement])).code).toBe(0);
  }
  const { code, stderr } = await sandbox().run(attach("scope"));
  expect(stderr).toContain("it is in a container (its cgroup namespace is another)");
  expect(code).toBe(2);
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toBe(cgroup);
  expect(await differencesFrom(before, [])).toEqual({});
});
