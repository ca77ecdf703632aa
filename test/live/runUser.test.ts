import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import { findUser } from "../../src/linux/proc/userAccount.ts";
import { AS_STRANGER } from "../support/delegatedCgroup.ts";
import { FFRTMP, lacksLimits, lacksRoot, readProc, testIf, useSandbox } from "../support/sandbox.ts";

// `run --user`: a workload with the rights of another user, and a job that is root's like every other one.

const sandbox = useSandbox();

const USER = "www-data";
const lacksUser = (): string | undefined =>
  lacksRoot() ?? (findUser(USER) === undefined ? `no user ${USER}` : undefined);

/** Returns lines of /proc/PID/status as words: `Uid: 33 33 33 33`. */
function statusOf(pid: number, names: string[]): string[] {
  const lines = readProc(pid, "status").split("\n");
  return lines
    .filter((line) => names.includes(line.split(":")[0] ?? ""))
    .map((line) => line.replace(/\s+/g, " ").trim());
}

const NAMES = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs"];

testIf(lacksUser())("a workload has all ids of the user, its groups and no right of root's", async () => {
  const { pid, wrapper } = await sandbox().startJob("a", ["--user", USER], ["sleep", "1000"]);
  const { uid, gid, groups } = findUser(USER) as NonNullable<ReturnType<typeof findUser>>;
  expect(statusOf(pid, NAMES)).toEqual([
    `Uid: ${Array(4).fill(uid).join(" ")}`,
    `Gid: ${Array(4).fill(gid).join(" ")}`,
    `Groups: ${[...groups].sort((a, b) => a - b).join(" ")}`,
    ...["CapInh", "CapPrm", "CapEff", "CapAmb"].map((name) => `${name}: 0000000000000000`),
    "NoNewPrivs: 1",
  ]);
  // The observer is root's again: the end of the job must reach the ledger.
  expect(statusOf(wrapper.pid, ["Uid", "Gid", "CapEff"])).toEqual(
    statusOf(process.pid, ["Uid", "Gid", "CapEff"]),
  );
  expect(await sandbox().json(["inspect", "a"])).toMatchObject({ uid, command: ["sleep", "1000"] });
  process.kill(pid, "SIGKILL");
  expect(await sandbox().resultOf("a")).toMatchObject({ signal: "SIGKILL", exit_evidence: "parent" });
});

testIf(lacksUser() ?? lacksLimits())(
  "its limits apply from its first instruction, in cgroups of root's",
  async () => {
    const script = "cat /proc/self/cgroup";
    const flags = ["--user", USER, "--cpu-quota", "50", "--nice", "-5", "--job-id", "a"];
    const { stdout, stderr } = await sandbox().run(["run", ...flags, "--", "sh", "-c", script]);
    const paths = stdout.trim().split("\n");
    // On cgroup v2 the child is cloned into the cgroup, which only root may write.
    expect(paths.filter((line) => line.includes(`ffrtmp-${sandbox().tag}-a`)).length).toBeGreaterThan(0);
    expect(stderr).toContain("exit=0");
    const { limits } = await sandbox().json(["inspect", "a"]);
    expect(limits).toMatchObject([{ outcome: "applied" }, { outcome: "applied" }]);
  },
);

testIf(lacksUser())("the user's variables are set, and those of --setenv in the workload alone", async () => {
  const variables = ["--setenv", "LD_PRELOAD=/none.so", "--setenv", "A=b=c", "--setenv", "A=x=y"];
  const script = 'echo "$HOME $USER $LOGNAME $SHELL $A $LD_PRELOAD $FFRTMP_STATE"';
  const { stdout, stderr } = await sandbox().run([
    ...["run", "--user", USER, ...variables, "--", "sh", "-c", script],
  ]);
  const { home, shell } = findUser(USER) as NonNullable<ReturnType<typeof findUser>>;
  expect(stdout).toBe(`${home} ${USER} ${USER} ${shell} x=y /none.so ${sandbox().state}\n`);
  // The dynamic linker of the shell says that it has no such library, and that of ffrtmp would say it too.
  expect(stderr.match(/none\.so/g)?.length ?? 0).toBeLessThanOrEqual(1);
});

testIf(lacksUser())("a job in the background writes to root's log, as the user", async () => {
  const script = "id -un; cat /etc/shadow";
  await sandbox().run(["run", "-d", "--job-id", "a", "--user", USER, "--", "sh", "-c", script]);
  expect(await sandbox().resultOf("a")).toMatchObject({ exit_code: 1 });
  const { stdout } = await sandbox().run(["logs", "a"]);
  expect(stdout).toContain(`${USER}\n`);
  expect(stdout).toContain("Permission denied");
});

test.each([
  [["--user", "no-such-user"], /there is no user no-such-user in \/etc\/passwd/],
  [["--user", USER, "--progress"], /--progress is not possible with --user/],
  [["--setenv", "A"], /Expected: the name of a variable/],
  [["--setenv", "=b"], /Expected: the name of a variable/],
])("run %j is refused before anything is started", async (flags, text) => {
  const { code, stderr } = await sandbox().run(["run", ...flags, "--", "ffmpeg", "-version"]);
  expect([code, stderr]).toEqual([expect.any(Number), expect.stringMatching(text)]);
  expect(code).not.toBe(0);
  expect(await sandbox().json(["history"])).toEqual([]);
});

testIf(lacksUser() ?? (Bun.which("setpriv") === null ? "no setpriv" : undefined))(
  "only root can choose the user",
  async () => {
    const state = sandbox().path("theirs");
    mkdirSync(state);
    chmodSync(state, 0o777);
    chmodSync(sandbox().directory, 0o755);
    const ended = sandbox().spawn(
      [...AS_STRANGER, FFRTMP, "run", "--state-path", state, "--user", USER, "--", "id"],
      { stdout: "pipe", stderr: "pipe" },
    );
    expect(await ended.exited).toBe(125);
    expect(await new Response(ended.stderr as ReadableStream).text()).toContain("only root can");
  },
);

testIf(lacksUser())("where root may not change its user, the job has never started", async () => {
  const without = ["setpriv", "--bounding-set", "-setuid", "--inh-caps", "-all"];
  const command = [FFRTMP, "run", "--job-id", "a", "--user", USER, "--", "true"];
  const child = sandbox().spawn([...without, ...command], { stdout: "pipe", stderr: "pipe" });
  const text = await new Response(child.stderr as ReadableStream).text();
  expect(text).toContain("this root may not start a process of another user: setresuid failed with EPERM");
  expect(await sandbox().json(["history"])).toMatchObject([{ job_id: "a", ending: "never_started" }]);
  expect(sandbox().cgroups()).toEqual([]);
});

test("a launch without these options takes the short way, which knows neither", () => {
  const { pathname } = new URL("../../src/launch/launch.ts", import.meta.url);
  expect(readFileSync(pathname, "utf8")).not.toMatch(/spawnAs|credentials/);
});
