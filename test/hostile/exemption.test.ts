import { expect } from "bun:test";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { basename } from "node:path";
import { AS_STRANGER, DelegatedCgroup, lacksDelegation, STRANGER } from "../support/delegatedCgroup.ts";
import { groupOf, PolicyBox, readLimitFile } from "../support/policyBox.ts";
import {
  eventually,
  FFRTMP,
  isRunning,
  lacksCommand,
  lacksLimits,
  Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const unless = lacksLimits() ?? lacksCommand("setpriv") ?? lacksDelegation();
const CONTAINER = "9f2c".repeat(16);

interface Target {
  box: PolicyBox;
  name: string;
  path: string;
}

/** A policy that limits the pids of one command. */
function target(rules = ""): Target {
  const box = new PolicyBox(sandbox());
  const { name, path } = sandbox().program("sh");
  chmodSync(path, 0o755);
  box.write(`target_commands: [${name}]\ndefault_limits: {pids_max: 30}\n${rules}`);
  return { box, name, path };
}

/** Runs a script as the stranger, which starts in the cgroups that it enters. Returns the PID of the shell. */
async function startIn(
  paths: readonly string[],
  shell: string,
  script = "while :; do sleep 600; done",
): Promise<number> {
  const pidFile = sandbox().path(`pid-${Bun.randomUUIDv7()}`);
  writeFileSync(pidFile, "", { mode: 0o666 });
  chmodSync(pidFile, 0o666);
  const inner = `${DelegatedCgroup.enter(paths)} echo $$ >'${pidFile}' && exec '${shell}' -c "${script}"`;
  sandbox().spawn([...AS_STRANGER, "sh", "-c", inner], { stdout: "ignore", stderr: "ignore" });
  const pid = await eventually("it runs", () => Number(readFileSync(pidFile, "utf8")) || undefined);
  sandbox().adopt(pid);
  await until(
    "it runs the target",
    () => isRunning(pid) && readFileSync(`/proc/${pid}/comm`, "utf8") === `${basename(shell).slice(0, 15)}\n`,
  );
  return pid;
}

/** Waits until the daemon of root governs a process, below the cgroup that the process is in. */
async function expectGovernedBelow(box: PolicyBox, pid: number, parent: string): Promise<void> {
  const { tag } = sandbox();
  await until(`PID ${pid} is governed`, () => basename(groupOf(pid, "pids")).startsWith(`ffrtmp-${tag}-`));
  expect(groupOf(pid, "pids")).toStartWith(`${parent}/`);
  expect(readLimitFile(pid, "pids", "pids.max")).toBe("30");
  expect(await box.jobOf(pid)).toMatchObject({ state: "running", mode: "watch" });
}

testIf(unless)("a cgroup that another user gave the name of a job exempts nothing", async () => {
  const { box, path } = target();
  await using delegated = new DelegatedCgroup(`delegated-${sandbox().tag}`);
  const forged = delegated.makeBelow("ffrtmp-000000-x");
  const ofOurTag = delegated.makeBelow(`ffrtmp-${sandbox().tag}-x`);
  const pids = forged.findIndex((each) => each.includes("/pids/"));
  const everywhere = await startIn(forged, path);
  const inOne = await startIn([forged[pids] as string], path);
  const tagged = await startIn(ofOurTag, path);
  const attached = await startIn(forged, path);
  await box.start();
  await expectGovernedBelow(box, everywhere, forged[pids] as string);
  await expectGovernedBelow(box, inOne, forged[pids] as string);
  await expectGovernedBelow(box, tagged, ofOurTag[pids] as string);
  await expectGovernedBelow(box, attached, forged[pids] as string);
});

testIf(unless)("a directory that another user made where the job's would be exempts nothing", async () => {
  const { box, name, path } = target();
  await using delegated = new DelegatedCgroup(`delegated-${sandbox().tag}`);
  const pids = delegated.paths.find((each) => each.includes("/pids/")) as string;
  const pid = await startIn(delegated.paths, path);
  const taken = delegated.makeBelow(`ffrtmp-${sandbox().tag}-auto-${name}-${pid}`);
  await startIn(taken, "/bin/sh");
  const named = await startIn(delegated.paths, "/bin/sh");
  delegated.makeBelow(`ffrtmp-${sandbox().tag}-named`);
  const refused = await sandbox().run([
    "attach",
    "--pid",
    `${named}`,
    "--job-id",
    "named",
    "--pids-max",
    "9",
  ]);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(
    /another user has made the cgroup \S+-named\n {2}try: choose another --job-id/,
  );
  await box.start();
  await expectGovernedBelow(box, pid, pids);
  expect(groupOf(pid, "pids")).toMatch(new RegExp(`/ffrtmp-${sandbox().tag}-auto-${name}-${pid}-[0-9a-f]+$`));
});

testIf(unless)("a user's own ffrtmp exempts nothing, and both limits apply", async () => {
  const { box, path } = target();
  await using delegated = new DelegatedCgroup(`delegated-${sandbox().tag}`);
  const ffrtmp = sandbox().path("ffrtmp");
  copyFileSync(FFRTMP, ffrtmp);
  const state = sandbox().path("strangers");
  mkdirSync(state);
  chownSync(state, STRANGER, STRANGER);
  const run = `${DelegatedCgroup.enter(delegated.paths)} exec '${ffrtmp}' run --state-path '${state}' --job-id own --pids-max 50 --json -- '${path}' -c 'until [ -e ${sandbox().path("go")} ]; do sleep 0.1; done; exit 7'`;
  const wrapper = sandbox().spawn([...AS_STRANGER, "sh", "-c", run]);
  const asStranger = async (
    args: string[],
  ): Promise<{ pid: number; state: string; result: { exit_code: number } }> => {
    const child = sandbox().spawn([...AS_STRANGER, ffrtmp, ...args, "--state-path", state, "--json"]);
    return JSON.parse(await new Response(child.stdout as ReadableStream).text());
  };
  const pid = await eventually("the user's job runs", async () => {
    const job = await asStranger(["inspect", "own"]).catch(() => undefined);
    return job?.state === "running" ? job.pid : undefined;
  });
  sandbox().adopt(pid);
  const own = groupOf(pid, "pids");
  expect(basename(own)).toMatch(/^ffrtmp-[0-9a-f]{6}-own$/);
  await box.start();
  const { tag } = sandbox();
  await until("root governs it", () => basename(groupOf(pid, "pids")).startsWith(`ffrtmp-${tag}-`));
  await until("it is recorded", async () =>
    (await sandbox().json(["ps"])).some((job: { state: string }) => job.state === "running"),
  );
  expect(groupOf(pid, "pids")).toStartWith(`${own}/`);
  expect(readFileSync(`${own}/pids.max`, "utf8").trim()).toBe("50");
  expect(readLimitFile(pid, "pids", "pids.max")).toBe("30");
  writeFileSync(sandbox().path("go"), "");
  expect(await wrapper.exited).toBe(7);
  const { job_id } = await eventually(
    "root has a result",
    async () => (await sandbox().json(["history"]))[0],
  );
  expect((await sandbox().json(["inspect", job_id])).result).toMatchObject({
    exit_code: 7,
    ending: "exited",
  });
  expect((await asStranger(["inspect", "own"])).result).toMatchObject({ exit_code: 7 });
});

testIf(unless)("a container counts only where root made its cgroup", async () => {
  const { box, path } = target("rules: [{name: containers, match: {container: true}, ignore: true}]\n");
  await using delegated = new DelegatedCgroup(`delegated-${sandbox().tag}`);
  await using ofRoot = new DelegatedCgroup(`docker-${CONTAINER}.scope`, { owner: 0 });
  const forged = delegated.makeBelow(`docker-${CONTAINER}.scope`);
  // Root made the inner one, in a directory whose owner may rename it.
  const within = delegated.paths.map((each) => `${each}/docker-${CONTAINER.replace("9", "8")}.scope`);
  for (const each of within) {
    delegated.make(each, 0);
    for (const file of ["tasks", "cgroup.procs"]) chmodSync(`${each}/${file}`, 0o666);
  }
  for (const each of ofRoot.paths) chmodSync(`${each}/cgroup.procs`, 0o666);
  const contained = await startIn(ofRoot.paths, path);
  const liar = await startIn(forged, path);
  const renamer = await startIn(within, path);
  await box.start();
  await box.governed(liar);
  await box.governed(renamer);
  const explain = async (pid: number) =>
    (await sandbox().json(["policy", "explain", "--pid", `${pid}`, "--watch-config", box.file])).facts
      .container;
  expect(await explain(contained)).toBe(CONTAINER);
  expect([await explain(liar), await explain(renamer)]).toEqual([null, null]);
  const jobs: { pid: number }[] = await sandbox().json(["ps"]);
  expect(jobs.map(({ pid }) => pid).toSorted()).toEqual([liar, renamer].toSorted());
});

testIf(unless)(
  "a process that another ffrtmp of root governs is left alone, and said once and counted",
  async () => {
    const { box, name, path } = target();
    const other = new Sandbox();
    try {
      const pid = await startIn([], path);
      const observer = other.start(["attach", "--pid", `${pid}`, "--job-id", "theirs"], {
        stdout: "ignore",
        stderr: "ignore",
      });
      await other.pidOf("theirs");
      await box.start("--scan-interval", "100ms");
      const line = `not governed: PID ${pid} (${name}): it is governed already, inside ffrtmp-${other.tag}-theirs`;
      await until("it is said", () => box.log().includes(line));
      await until("it is counted", async () => (await sandbox().json(["ps", "--daemon"])).not_governed === 1);
      // Considered again at each reload.
      box.write(`target_commands: [${name}]\ndefault_limits: {pids_max: 31}\n`);
      await until("the policy is loaded again", () => box.log().includes("Policy loaded"));
      expect(box.log().split(line)).toHaveLength(2);
      expect((await sandbox().run(["ps", "--daemon"])).stdout).toMatch(
        /^not governed +1 processes that the policy chose$/m,
      );
      expect(await sandbox().json(["ps"])).toEqual([]);
      observer.kill();
      await observer.exited;
      process.kill(pid, "SIGKILL");
    } finally {
      await other.close();
    }
  },
);

testIf(unless)("a new ledger adopts no cgroup that another user gave the name of a job", async () => {
  target();
  await using delegated = new DelegatedCgroup(`delegated-${sandbox().tag}`);
  const forged = delegated.makeBelow(`ffrtmp-${sandbox().tag}-\u001b[2Jx`);
  const plain = delegated.makeBelow(`ffrtmp-${sandbox().tag}-plain`);
  const pids = [await startIn(forged, "/bin/sh"), await startIn(plain, "/bin/sh")];
  expect(await sandbox().json(["ps"])).toEqual([]);
  expect(await sandbox().json(["history"])).toEqual([]);
  for (const path of [...forged, ...plain]) expect(existsSync(path)).toBeTrue();
  for (const pid of pids) expect(isRunning(pid)).toBeTrue();
});

testIf(unless)("a tenant's directory of another user is not used, and the outcome says so", async () => {
  const { box, path } = target(
    "rules: [{name: all, match: {cwd: /}, tenant: acme}]\ntenants: {acme: {pids_max: 500}}\n",
  );
  await using delegated = new DelegatedCgroup(`delegated-${sandbox().tag}`);
  const pids = delegated.paths.findIndex((each) => each.includes("/pids/"));
  const taken = delegated.makeBelow(`ffrtmp-${sandbox().tag}-@acme`);
  const pid = await startIn(delegated.paths, path);
  await box.start();
  await expectGovernedBelow(box, pid, delegated.paths[pids] as string);
  expect(groupOf(pid, "pids")).not.toStartWith(taken[pids] as string);
  const { tenant, limits } = await box.jobOf(pid);
  expect(tenant).toBe("acme");
  expect(limits).toContainEqual(
    expect.objectContaining({ limit: "pids.max", of: "tenant", outcome: "unsupported" }),
  );
});

testIf(unless ?? lacksCommand("perl"))(
  "another user's code in the executable of ffrtmp is governed",
  async () => {
    const { box, name } = target();
    const ffrtmp = sandbox().path("ffrtmp");
    copyFileSync(FFRTMP, ffrtmp);
    chmodSync(ffrtmp, 0o755);
    // The runtime that is compiled into the executable runs any program with this variable.
    const script = `exec { "${ffrtmp}" } "${name}", "-e", "setInterval(() => {}, 1e6)" or die $!`;
    const output = { stdout: "ignore", stderr: "ignore" } as const;
    const { pid } = sandbox().spawn([...AS_STRANGER, "perl", "-e", script], {
      env: { BUN_BE_BUN: "1" },
      ...output,
    });
    await until("it runs", () => readFileSync(`/proc/${pid}/comm`, "utf8") === "ffrtmp\n");
    sandbox().spawn([ffrtmp, "watch", "--watch-config", box.file], output);
    await box.governed(pid);
    expect(readLimitFile(pid, "pids", "pids.max")).toBe("30");
  },
);
