import { expect } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { FFRTMP, isRunning, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import { differencesFrom, settledSnapshot, useUnits } from "../support/vm/units.ts";
import { attachIn, inView } from "../support/vm/views.ts";

const sandbox = useSandbox();
const units = useUnits();
const LIMITS = "--cpu-quota 50 --memory-max 100M --pids-max 30";

/**
 * The mounts of a hybrid machine: v1 hierarchies under a tmpfs, and v2 with all controllers in a
 * subdirectory.
 */
const HYBRID = `
mount -t tmpfs tmpfs /sys/fs/cgroup
cd /sys/fs/cgroup && mkdir unified named freezer net
mount -t cgroup2 cgroup2 unified
mount -t cgroup -o none,name=ffrtmp-test cgroup named
mount -t cgroup -o freezer cgroup freezer
mount -t cgroup -o net_cls,net_prio cgroup net
cd /
`;

vmTest("on a hybrid machine the controllers are found in the v2 mount, and limit jobs there", async () => {
  const before = await settledSnapshot();
  const { code, stdout, stderr } = inView(
    sandbox(),
    units,
    ["--mount"],
    `${HYBRID}$ffrtmp run --job-id born ${LIMITS} -- cat /proc/self/cgroup
sleep 1000 & ${attachIn("$!", "taken", LIMITS)}
cat /proc/self/cgroup /sys/fs/cgroup/unified$(sed -n s/^0:://p /proc/self/cgroup)/ffrtmp-*-taken/cpu.max
kill $observer; wait $observer || :
$ffrtmp detach taken
$ffrtmp doctor | grep -E '^(cgroup hierarchies|cpu.max)' || :`,
  );
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stdout).toMatch(/^0::\/system\.slice\/ffrtmp-\w{6}-born\.scope\/ffrtmp-\w{6}-born$/m);
  expect(stdout).toMatch(/^1?\d:name=ffrtmp-test:\/$/m);
  expect(stdout).toMatch(/^50000 100000$/m);
  expect(stdout).toMatch(/^cgroup hierarchies +yes +v2 \S+ at \/sys\/fs\/cgroup\/unified; v1 freezer at /m);
  expect(stdout).toMatch(/^cpu.max +yes +read back as 50000 100000$/m);
  expect((await sandbox().json(["inspect", "born"])).limits).toMatchObject(
    Array(3).fill({ outcome: "applied" }),
  );
  expect((await sandbox().json(["inspect", "taken"])).limits).toMatchObject([
    { limit: "cpu.max", outcome: "applied" },
    { limit: "memory.max", outcome: "unsupported" },
    { limit: "pids.max", outcome: "applied" },
  ]);
  expect(await differencesFrom(before, [])).toEqual({});
});

vmTest(
  "with read-only cgroups jobs run without limits, with one warning each, and leave nothing behind",
  async () => {
    const { name, path } = sandbox().program("sleep");
    const target = sandbox().spawn([path, "1000"], { stdout: "ignore", stderr: "ignore" });
    const before = await settledSnapshot();
    const { code, stdout, stderr } = inView(
      sandbox(),
      units,
      ["--mount"],
      `mount -o remount,bind,ro /sys/fs/cgroup
$ffrtmp run --job-id born ${LIMITS} -- echo ran
sleep 1000 & inner=$!
${attachIn("$inner", "taken", LIMITS)}
kill $observer; wait $observer || :
$ffrtmp detach taken
$ffrtmp attach --pid $inner --placement scope ${LIMITS} || echo scope $?
$ffrtmp watch --once --target ${name} ${LIMITS}
$ffrtmp detach auto-${name}-${target.pid}
$ffrtmp doctor || echo doctor $?`,
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const because = "/sys/fs/cgroup is mounted read-only here";
    for (const job of ["born", "taken"])
      expect(stderr).toContain(`job ${job} runs without cpu.max, memory.max, pids.max (${because})`);
    expect(stderr).not.toContain("no scope of its own");
    expect(stderr).toContain(because);
    expect(stdout).toMatch(/^ran$/m);
    expect(stdout).toMatch(/^scope 2$/m);
    expect(stdout).toMatch(/^cgroup hierarchies +NO +v2 \S+ at \/sys\/fs\/cgroup, read-only/m);
    expect(stdout).toMatch(/^cpu.max +NO +\/sys\/fs\/cgroup is mounted read-only here/m);
    expect(stdout).toMatch(/^doctor 1$/m);
    for (const job of ["born", "taken", `auto-${name}-${target.pid}`])
      expect((await sandbox().json(["inspect", job])).limits).toMatchObject(
        Array(3).fill({ outcome: "unsupported", because }),
      );
    expect(isRunning(target.pid)).toBe(true);
    expect(await differencesFrom(before, [])).toEqual({});
  },
);

vmTest(
  "a workload that a service with ProtectControlGroups= starts by ffrtmp run outlives the service",
  async () => {
    const output = sandbox().path("told");
    mkdirSync(sandbox().state);
    writeFileSync(output, "");
    const unit = `ffrtmp-protected-${sandbox().tag}`;
    const run = `${FFRTMP} run -d --state-path ${sandbox().state} --job-id kept ${LIMITS} -- sleep 1000 2>${output}`;
    await units.start(unit, ["-p", "ProtectControlGroups=yes"], `${run}; exec perl -e 'sleep 1000'`, "perl");
    const pid = await sandbox().pidOf("kept");
    sandbox().adopt(pid);
    units.stop(`${unit}.service`);
    expect(isRunning(pid)).toBe(true);
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toMatch(/-kept\.scope$/m);
    expect(readFileSync(output, "utf8")).toContain("is mounted read-only here");
  },
);
