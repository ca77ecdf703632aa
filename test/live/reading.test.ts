import { expect, test } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { PRIVATE_MOUNTS, runScript } from "../support/badInput.ts";
import {
  lacksCommand,
  lacksLimits,
  lacksRoot,
  testIf,
  useSandbox,
  withoutForeignJobs,
} from "../support/sandbox.ts";
import { STRANGER } from "../support/strangers.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());
const strangerTest = testIf(lacksRoot() ?? lacksCommand("setpriv"));

const NO_STATE = /there is no state at that place/;
const ROOTS = /root's state (is|would be) \/var\/lib\/ffrtmp/;

/** Commands that read, or change recorded jobs, with their exit codes where nothing is recorded. */
const COMMANDS: { args: string[]; code: number }[] = [
  { args: ["ps"], code: 0 },
  { args: ["ps", "--json"], code: 0 },
  { args: ["ps", "--daemon"], code: 0 },
  { args: ["history"], code: 0 },
  { args: ["history", "--json"], code: 0 },
  { args: ["events"], code: 0 },
  { args: ["prune"], code: 0 },
  { args: ["prune", "--dry-run", "--compact"], code: 0 },
  { args: ["inspect", "some"], code: 2 },
  { args: ["logs", "some"], code: 2 },
  { args: ["logs", "-f", "some"], code: 2 },
  { args: ["wait", "some"], code: 2 },
  { args: ["detach", "some"], code: 2 },
  { args: ["limits", "reset", "some"], code: 2 },
];

for (const { args, code } of COMMANDS) {
  test(`${args.join(" ")} creates nothing, and says that there is no state and where root's is`, async () => {
    const ended = await sandbox().run(args);
    expect(ended.code).toBe(code);
    expect(ended.stderr).toMatch(NO_STATE);
    expect(ended.stderr).toMatch(ROOTS);
    expect(ended.stderr).not.toMatch(/writable|cannot write|kept in memory/);
    expect(readdirSync(sandbox().directory)).toEqual([]);
  });
}

test("policy explain, watch --dry-run and doctor create no state", async () => {
  const policy = sandbox().path("policy.yaml");
  writeFileSync(policy, "target_commands: [no-such-command]\n");
  const explained = await sandbox().run([
    "policy",
    "explain",
    "--watch-config",
    policy,
    "--pid",
    String(process.pid),
  ]);
  const dry = await sandbox().run(["watch", "--dry-run", "--target", "no-such-command"]);
  const checks = (await sandbox().json(["doctor"])) as { name: string; works: boolean; found: string }[];
  expect([explained.code, dry.code]).toEqual([0, 0]);
  expect(checks.find(({ name }) => name === "ledger")).toMatchObject({
    works: true,
    found: `${sandbox().state}/ledger.db, which the first job creates`,
  });
  expect(readdirSync(sandbox().directory)).toEqual(["policy.yaml"]);
});

test("an empty table keeps its heading and its JSON on stdout", async () => {
  expect((await sandbox().run(["ps"])).stdout).toMatch(/^JOB +PID .*\n$/);
  expect((await sandbox().run(["history"])).stdout).toMatch(/^OUTCOME +ENDED +JOB .*\n$/);
  expect(await sandbox().json(["ps"])).toEqual([]);
  expect(await sandbox().json(["history"])).toEqual([]);
});

test("a directory without a ledger is named as that, and stays as it is", async () => {
  mkdirSync(sandbox().state);
  const { code, stderr } = await sandbox().run(["ps"]);
  expect(code).toBe(0);
  expect(stderr).toContain(`no job has been recorded in ${sandbox().state}: the directory has no ledger\n`);
  expect(readdirSync(sandbox().state)).toEqual([]);
});

test("ps says how many jobs have ended, and history how many run", async () => {
  await sandbox().run(["run", "--", "true"]);
  const { stderr } = await sandbox().run(["ps"]);
  expect(withoutForeignJobs(stderr)).toBe("ffrtmp: no job is running; 1 has ended: ffrtmp history\n");
  const state = sandbox().path("other");
  const flags = ["--state-path", state];
  await sandbox().run(["run", ...flags, "--", "false"]);
  await sandbox().run(["run", ...flags, "--", "false"]);
  const named = await sandbox().run(["ps", ...flags]);
  expect(withoutForeignJobs(named.stderr)).toBe(
    `ffrtmp: no job is running; 2 have ended: ffrtmp history --state-path ${state}\n`,
  );
});

test("history says that the jobs still run", async () => {
  await sandbox().startJob("long", [], ["sleep", "1000"]);
  const { stderr } = await sandbox().run(["history"]);
  expect(stderr).toBe("ffrtmp: no job has ended; 1 is running: ffrtmp ps\n");
});

strangerTest("an ordinary user reads about the own directory and root's", async () => {
  chmodSync(sandbox().directory, 0o755);
  const home = sandbox().path("home");
  const script = `unset FFRTMP_STATE XDG_STATE_HOME
    exec setpriv --reuid ${STRANGER} --regid ${STRANGER} --clear-groups "$F" ps`;
  const { code, stderr } = await runScript(sandbox(), script, { env: { HOME: home } });
  expect(code).toBe(0);
  expect(stderr).toContain(`no job has been recorded in ${home}/.local/state/ffrtmp: there is no state`);
  expect(stderr).toMatch(ROOTS);
  expect(existsSync(home)).toBe(false);
});

strangerTest(
  "state that a user may not read is named with its owner, without advice to open it",
  async () => {
    await sandbox().run(["run", "--", "true"]);
    chmodSync(sandbox().directory, 0o755);
    const script = `exec setpriv --reuid ${STRANGER} --regid ${STRANGER} --clear-groups "$F" history`;
    const { code, stderr } = await runScript(sandbox(), script);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /cannot read the ledger \S+ledger\.db: EACCES \(permission denied\) reading \S+state/,
    );
    expect(stderr).toMatch(/try: sudo ffrtmp history --state-path \S+state$/m);
    expect(stderr).not.toMatch(/writable|cannot write/);
  },
);

strangerTest("root learns whose an empty state directory is", async () => {
  mkdirSync(sandbox().state);
  chownSync(sandbox().state, STRANGER, STRANGER);
  const { code, stderr } = await sandbox().run(["ps"]);
  expect(code).toBe(0);
  expect(stderr).toMatch(
    /recorded in \S+state, which belongs to \S+ \(uid 65534\): the directory has no ledger/,
  );
});

strangerTest("root by sudo reads about the state of the user who called it", async () => {
  const script = `printf 'root:x:0:0::/root:/bin/sh\nann:x:1234:1234::%s/ann:/bin/sh\n' "$PWD" > passwd
    mkdir -p ann/.local/state/ffrtmp && touch ann/.local/state/ffrtmp/ledger.db && chown -R 1234 ann
    mount --bind passwd /etc/passwd && SUDO_UID=1234 exec "$F" ps`;
  const { code, stderr } = await runScript(sandbox(), script, {}, PRIVATE_MOUNTS);
  expect(code).toBe(0);
  const theirs = `${sandbox().directory}/ann/.local/state/ffrtmp`;
  expect(stderr).toContain(
    `ann's state is ${theirs}, which root does not read; try: sudo -u ann ffrtmp ps --state-path ${theirs}\n`,
  );
});

limitsTest("a job of another state directory is named with that directory", async () => {
  const { pid, wrapper } = await sandbox().startJob("far", [], ["sleep", "1000"]);
  const other = ["--state-path", sandbox().path("other")];
  const { state, tag } = sandbox();
  const listed = await sandbox().run(["ps", ...other]);
  expect(listed.code).toBe(0);
  expect(listed.stderr).toMatch(new RegExp(`under another state directory, ${state}: (\\S+, )*far`));
  expect(listed.stderr).toContain(`try: ffrtmp ps --state-path ${state}\n`);
  const inspected = await sandbox().run(["inspect", "far", ...other]);
  expect(inspected.code).toBe(2);
  expect(inspected.stderr).toContain(`is governed by another state directory, ${state}\n`);
  expect(inspected.stderr).toContain(`try: ffrtmp inspect far --state-path ${state}\n`);
  const attached = await sandbox().run(["attach", "--pid", String(pid), ...other]);
  expect(attached.code).toBe(2);
  expect(attached.stderr).toContain(
    `it is governed already, inside ffrtmp-${tag}-far, as job far of ${state}\n`,
  );
  expect(attached.stderr).toContain(`try: ffrtmp detach far --state-path ${state}\n`);

  // Only an ffrtmp that runs, or the usual place of a user, shows the directory behind a checksum.
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  const unknown = await sandbox().run(["inspect", "far", ...other]);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toMatch(/another state directory, whose place is not known: its cgroup is \S+-far/);
});

limitsTest("jobs without a ledger are shown from their cgroups, and no ledger is created", async () => {
  const { wrapper, pid } = await sandbox().startJob("kept", [], ["sleep", "1000"]);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  const { state } = sandbox();
  const script = `rm -r ${state}; exec "$F" ps --json`;
  const { code, stdout, stderr } = await runScript(sandbox(), script);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject([{ job_id: "kept", pid }]);
  expect(stderr).toContain(`there is no ledger ${state}/ledger.db: these jobs are known from their cgroups`);
  expect(existsSync(state)).toBe(false);
  expect(sandbox().cgroups()).not.toEqual([]);
  // For the end of the test, which needs the ledger again.
  await sandbox().run(["run", "--", "true"]);
});
