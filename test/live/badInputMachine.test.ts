import { expect } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readFileSync } from "node:fs";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { expectMessage, PRIVATE_MOUNTS, runScript } from "../support/badInput.ts";
import {
  FFRTMP,
  isRunning,
  lacksCommand,
  lacksLimits,
  lacksRoot,
  readProc,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
const lacksMounts = lacksLimits() ?? lacksCommand("unshare");
const lacksUsers = lacksRoot() ?? lacksCommand("setpriv");

/** The start of a shell script that changes every cgroup mount of its own mount namespace. */
function onEveryTree(change: string): string {
  return readHierarchies(realHost())
    .map(({ mountPoint }) => `${change} '${mountPoint}' || exit 99; `)
    .join("");
}

const GOVERN_LITTLE = [
  {
    name: "cgroup trees that are mounted read-only",
    prepare: onEveryTree("mount -o remount,bind,ro"),
    because: /cpu\.max \(\/\S+ is mounted read-only here\)/,
  },
  {
    name: "no cgroup tree mounted at all",
    prepare: onEveryTree("umount --lazy"),
    because: /cpu\.max \(no cgroup controller for it is mounted \(cpu\)\)/,
  },
];

for (const { name, prepare, because } of GOVERN_LITTLE) {
  testIf(lacksMounts)(
    `with ${name} run starts its workload, and reports once what it could not apply`,
    async () => {
      const { code, stdout, stderr } = await runScript(
        sandbox(),
        `${prepare} exec "$F" run --job-id bare --cpu-quota 50 --memory-max 64M -- sh -c 'echo ran; exit 3'`,
        {},
        PRIVATE_MOUNTS,
      );
      expect({ code, stdout }).toEqual({ code: 3, stdout: "ran\n" });
      expectMessage(stderr, [
        because,
        /job bare runs without .*memory\.max \(.*To see what this machine allows: ffrtmp doctor/,
        /^JOB bare \| sla=VIOLATION \| reason=limit_not_applied\(cpu\.max,memory\.max\) .* \| exit=3 /m,
      ]);
      expect(stderr.split("runs without")).toHaveLength(2);
      expect((await sandbox().json(["inspect", "bare"])).result.limits).toMatchObject([
        { limit: "cpu.max", outcome: "unsupported" },
        { limit: "memory.max", outcome: "unsupported" },
      ]);
      expect(sandbox().cgroups()).toEqual([]);
    },
  );

  testIf(lacksMounts)(`with ${name} and without limits run prints no warning`, async () => {
    const ended = await runScript(sandbox(), `${prepare} exec "$F" run -- true`, {}, PRIVATE_MOUNTS);
    expect(ended.code).toBe(0);
    expect(ended.stderr).toMatch(/^JOB \S+ \| sla=COMPLIANT .*\n$/);
  });

  testIf(lacksMounts)(`with ${name} run --detach starts the job and reports what it lacks`, async () => {
    const { code, stdout, stderr } = await runScript(
      sandbox(),
      `${prepare} exec "$F" run --detach --job-id bare --cpu-quota 50 -- sh -c 'exit 3'`,
      {},
      PRIVATE_MOUNTS,
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: "bare\n" });
    expectMessage(stderr, [because]);
    expect(await sandbox().resultOf("bare")).toMatchObject({ exit_code: 3, exit_evidence: "parent" });
  });

  testIf(lacksMounts)(
    `with ${name} attach observes the process to its end and does not move it`,
    async () => {
      const workload = sandbox().spawn(["sleep", "60"]);
      const before = readProc(workload.pid, "cgroup");
      const attaching = runScript(
        sandbox(),
        `${prepare} exec "$F" attach --pid ${workload.pid} --job-id bare --cpu-quota 50`,
        {},
        PRIVATE_MOUNTS,
      );
      await sandbox().pidOf("bare");
      expect(readProc(workload.pid, "cgroup")).toBe(before);
      workload.kill("SIGKILL");
      const { code, stdout, stderr } = await attaching;
      expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
      expectMessage(stderr, [because, /^JOB bare \| sla=VIOLATION \| reason=limit_not_applied\(cpu\.max\)/m]);
    },
  );

  testIf(lacksMounts)(`with ${name} doctor names what is missing`, async () => {
    const { code, stdout } = await runScript(sandbox(), `${prepare} exec "$F" doctor`, {}, PRIVATE_MOUNTS);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^cpu\.max +NO .*--cpu-quota and --cpu-max have no effect$/m);
    expect(sandbox().cgroups()).toEqual([]);
  });
}

/**
 * Makes a state directory and a ledger that belong to the unprivileged user, before root opens the ledger.
 */
async function giveStateToNobody(): Promise<void> {
  chmodSync(sandbox().directory, 0o755);
  mkdirSync(sandbox().state);
  chownSync(sandbox().state, 65534, 65534);
  await runScript(sandbox(), '"$F" ps', {}, NOBODY);
}

testIf(lacksUsers)(
  "an unprivileged user's job runs, with one warning about everything that needs more rights",
  async () => {
    await giveStateToNobody();
    const { code, stdout, stderr } = await runScript(
      sandbox(),
      `exec "$F" run --job-id users --cpu-quota 50 --nice -5 -- sh -c 'id -u; exit 3'`,
      {},
      NOBODY,
    );
    expect({ code, stdout }).toEqual({ code: 3, stdout: "65534\n" });
    expectMessage(stderr, [
      /job users runs without cpu\.max \(.*\); nice \((EACCES \(permission denied\)|EPERM \(operation not permitted\)) setting nice to -5\)/,
      /^JOB users \| sla=VIOLATION \| reason=limit_not_applied\(cpu\.max,nice\)/m,
    ]);
    expect(stderr.split("runs without")).toHaveLength(2);
    // Root uses no state of another user.
    const inspected = await runScript(sandbox(), `exec "$F" inspect users --json`, {}, NOBODY);
    expect(JSON.parse(inspected.stdout).uid).toBe(65534);
    expect(sandbox().cgroups()).toEqual([]);
  },
);

testIf(lacksUsers)("an unprivileged user can run in a directory that cannot be entered again", async () => {
  await giveStateToNobody();
  const closed = sandbox().path("closed");
  mkdirSync(closed, { mode: 0o700 });
  const { code, stdout } = await runScript(
    sandbox(),
    `exec "$F" run -- sh -c 'echo ran; exit 3'`,
    { cwd: closed },
    NOBODY,
  );
  expect({ code, stdout }).toEqual({ code: 3, stdout: "ran\n" });
});

testIf(lacksUsers)("an unprivileged user's attach changes nothing about another user's process", async () => {
  await giveStateToNobody();
  const workload = sandbox().spawn(["sleep", "60"]);
  const before = [readProc(workload.pid, "cgroup"), readProc(workload.pid, "stat").split(" ")[18]];
  const attaching = sandbox().spawn(
    [
      ...NOBODY,
      FFRTMP,
      "attach",
      "--pid",
      String(workload.pid),
      "--job-id",
      "other",
      "--cpu-quota",
      "50",
      "--nice",
      "5",
    ],
    { stdout: "ignore" },
  );
  await until("job other runs", async () => {
    const { code } = await runScript(sandbox(), `exec "$F" inspect other`, {}, NOBODY);
    return code === 0;
  });
  attaching.kill("SIGTERM");
  expect(await attaching.exited).toBe(143);
  const stderr = await new Response(attaching.stderr as ReadableStream).text();
  expectMessage(stderr, [
    /job other runs without cpu\.max \(.*nice \(/,
    /SIGTERM: stopped waiting; job other keeps running/,
  ]);
  expect([readProc(workload.pid, "cgroup"), readProc(workload.pid, "stat").split(" ")[18]]).toEqual(before);
  expect(isRunning(workload.pid)).toBe(true);
});

const NAMESPACES = [
  { name: "a pid namespace", flags: ["--pid", "--fork", "--mount-proc"] },
  { name: "a user namespace", flags: ["--user", "--map-root-user"] },
  {
    name: "a user and a pid namespace",
    flags: ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"],
  },
];

for (const { name, flags } of NAMESPACES) {
  testIf(lacksNamespace(flags))(`run works in ${name}`, async () => {
    const { code, stdout, stderr } = await runScript(
      sandbox(),
      `"$F" run --job-id inner --cpu-quota 50 -- sh -c 'echo ran; exit 3'; code=$?
      "$F" inspect inner --json; exit $code`,
      {},
      ["unshare", ...flags],
    );
    expect(code).toBe(3);
    expect(stdout).toStartWith("ran\n");
    expect(JSON.parse(stdout.slice("ran\n".length)).result).toMatchObject({
      ending: "exited",
      exit_code: 3,
      exit_evidence: "parent",
    });
    expect(stderr).toMatch(/^JOB inner \|/m);
    expect(sandbox().cgroups()).toEqual([]);
  });
}

testIf(lacksNamespace(["--pid", "--fork"]))(
  "in a pid namespace with the procfs of another one ffrtmp refuses to act, because its pids are other processes",
  async () => {
    for (const [args, expected] of [
      ["run -- touch marker", 125],
      ["attach --pid 1", 2],
      ["ps", 2],
    ] as const) {
      const { code, stdout, stderr } = await runScript(sandbox(), `"$F" ${args}; exit $?`, {}, [
        "unshare",
        "--pid",
        "--fork",
      ]);
      expect({ code, stdout }).toEqual({ code: expected, stdout: "" });
      expectMessage(stderr, [
        /\/proc shows the processes of another pid namespace: this one is PID \d+ here and PID \d+ there/,
        /try: unshare --pid --fork --mount-proc/,
      ]);
    }
    expect(() => readFileSync(sandbox().path("marker"))).toThrow();
    expect(await sandbox().json(["history"])).toEqual([]);
  },
);

testIf(lacksNamespace(["--pid", "--fork", "--mount-proc"]))(
  "a workload in its own pid namespace is run and observed from outside",
  async () => {
    const { code, stdout } = await sandbox().run([
      "run",
      "--",
      "unshare",
      "--pid",
      "--fork",
      "--mount-proc",
      "sh",
      "-c",
      "echo $$; exit 5",
    ]);
    expect({ code, stdout }).toEqual({ code: 5, stdout: "1\n" });
    await until("no cgroup is left", () => sandbox().cgroups().length === 0);
  },
);

function lacksNamespace(flags: string[]): string | undefined {
  const missing = lacksCommand("unshare");
  if (missing !== undefined) return missing;
  const { exitCode } = Bun.spawnSync(["unshare", ...flags, "true"], { stderr: "ignore" });
  return exitCode === 0 ? undefined : `this machine does not allow unshare ${flags.join(" ")}`;
}
