import { expect } from "bun:test";
import { existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { BUSYBOX, makeBundle, unshareCommand } from "../support/container.ts";
import {
  FFRTMP,
  isRunning,
  lacksCommand,
  lacksLimits,
  lacksRoot,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const lacksContainers =
  lacksRoot() ??
  lacksCommand("unshare") ??
  lacksCommand("ldd") ??
  (existsSync(BUSYBOX) ? undefined : `needs ${BUSYBOX}`);
const containerTest = testIf(lacksContainers);
const governingTest = testIf(lacksContainers ?? lacksLimits());
/** crun takes no mixture of cgroup versions; there, and where it is not installed, unshare and chroot make the container. */
const lacksCrun =
  lacksCommand("crun") ?? (hasBothVersions() ? "it takes no mixture of cgroup versions" : undefined);
if (lacksCrun !== undefined) console.log(`not tried: containers by crun (${lacksCrun}), by unshare instead`);

function hasBothVersions(): boolean {
  return new Set(readHierarchies(realHost()).map(({ version }) => version)).size > 1;
}

interface Container {
  runtime: Bun.Subprocess;
  output(): string;
}

/** Starts a container that is gone when its first process has ended. */
function startContainer(isGivenMachine: boolean, ...args: string[]): Container {
  const box = sandbox();
  mkdirSync(box.state, { recursive: true });
  const id = `ffrtmp-test-${Bun.randomUUIDv7()}`;
  const directory = box.path(id);
  const options = { isGivenMachine, state: box.state, args };
  makeBundle(directory, FFRTMP, options);
  const crun = [
    "crun",
    "--cgroup-manager=disabled",
    `--root=${box.path("crun")}`,
    "run",
    "--bundle",
    directory,
    id,
  ];
  const cmd = lacksCrun === undefined ? crun : unshareCommand(directory, options);
  const path = box.path(`${id}.out`);
  const fd = openSync(path, "a");
  return { runtime: box.spawn(cmd, { stdout: fd, stderr: fd }), output: () => readFileSync(path, "utf8") };
}

containerTest(
  "in a container of the usual kind doctor names what is missing, and what gives it",
  async () => {
    const { runtime, output } = startContainer(false, "ffrtmp", "doctor");
    expect(await runtime.exited).toBe(1);
    const lines = output();
    expect(lines).toMatch(/^visible processes +NO +only the processes of a PID namespace.*--pid=host/m);
    expect(lines).toMatch(/^visible cgroups +NO +only the cgroups of a cgroup namespace.*--cgroupns=host/m);
    expect(lines).toMatch(/^cgroup hierarchies +NO +none is mounted/m);
    expect(lines).toMatch(
      /^process connector +NO +the process connector serves only the initial pid namespace/m,
    );
  },
);

containerTest("there a workload runs to its end all the same, with one warning", async () => {
  const { runtime, output } = startContainer(
    false,
    "ffrtmp",
    "run",
    "--job-id",
    "inside",
    "--cpu-quota",
    "50",
    "--",
    "sh",
    "-c",
    "exit 7",
  );
  expect(await runtime.exited).toBe(7);
  expect(output()).toContain("job inside runs without cpu.max");
});

containerTest(
  "there attach says why a PID of the machine is not known, and watch how little it sees",
  async () => {
    const stranger = sandbox().spawn(["sleep", "1000"]);
    const { runtime, output } = startContainer(false, "ffrtmp", "attach", "--pid", String(stranger.pid));
    expect(await runtime.exited).toBe(2);
    expect(output()).toContain(`process ${stranger.pid} does not exist`);
    expect(output()).toContain("a pid namespace of its own");
    const watch = startContainer(false, "ffrtmp", "watch", "--once", "--target", "no-such-program");
    expect(await watch.runtime.exited).toBe(0);
    expect(watch.output()).toContain("Limited view of the machine: only the processes of a PID namespace");
  },
);

governingTest("in a container that is given the machine, watch governs what runs outside of it", async () => {
  const { name, path } = sandbox().program("sleep");
  const outside = sandbox().spawn([path, "1000"]);
  const { runtime, output } = startContainer(true, "ffrtmp", "watch", "--target", name, "--cpu-quota", "50");
  await until("it is governed", () => {
    if (runtime.exitCode !== null) throw new Error(output());
    return output().includes(
      `Attaching to PID ${outside.pid} (${name}) as job auto-${name}-${outside.pid}\n`,
    );
  });
  expect(output()).toContain("events: connector");
  expect(output()).not.toContain("Limited view of the machine");
  const { limits, processes } = await sandbox().json(["inspect", `auto-${name}-${outside.pid}`]);
  expect(processes).toEqual([outside.pid]);
  expect(limits).toMatchObject([{ limit: "cpu.max", outcome: "applied", actual: "50000 100000" }]);

  // With the machine's processes in sight, the PID that it prints is its PID here too.
  const daemon = Number(/\(PID (\d+)\); events/.exec(output())?.[1]);
  sandbox().adopt(daemon);
  process.kill(daemon, "SIGKILL");
  await runtime.exited;
  expect(isRunning(outside.pid)).toBe(true);
  expect(readFileSync(`/proc/${outside.pid}/cgroup`, "utf8")).toContain(`auto-${name}-${outside.pid}`);
});
