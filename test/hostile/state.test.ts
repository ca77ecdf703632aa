import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { expectMessage } from "../support/badInput.ts";
import {
  FFRTMP,
  hierarchyOf,
  lacksCommand,
  lacksLimits,
  lacksRoot,
  type Sandbox,
  testIf,
  useSandbox,
  withoutForeignJobs,
} from "../support/sandbox.ts";
import { asStranger, STRANGER, snapshot } from "../support/strangers.ts";

const sandbox = useSandbox();
const rootTest = testIf(lacksRoot() ?? lacksCommand("setpriv") ?? lacksCommand("mkfifo"));
const limitsTest = testIf(lacksLimits());

/** The commands that read a state directory, each with its exit code when the directory is refused. */
const COMMANDS: { args: string[]; code: number }[] = [
  { args: ["ps"], code: 2 },
  { args: ["ps", "--daemon"], code: 2 },
  { args: ["history"], code: 2 },
  { args: ["inspect", "bait"], code: 2 },
  { args: ["logs", "bait"], code: 2 },
  { args: ["detach", "bait"], code: 2 },
  { args: ["limits", "set", "bait", "--pids-max", "5"], code: 2 },
  { args: ["run", "--", "sh", "-c", "exit 3"], code: 3 },
  { args: ["run", "--detach", "--", "true"], code: 125 },
  { args: ["watch", "--once", "--target", "no-such-command"], code: 0 },
];

const COMMANDS_AS_USUAL = [["ps"], ["history"], ["watch", "--once", "--target", "no-such-command"]];

/** Other users reach the sandbox. */
function open(box: Sandbox): void {
  chmodSync(box.directory, 0o755);
}

/** Makes files of root that no ffrtmp may touch. */
function makeVictim(box: Sandbox): string {
  const victim = box.path("victim");
  mkdirSync(`${victim}/empty`, { recursive: true });
  for (const name of ["config", "cpu.max", "cgroup.procs", "cgroup.subtree_control"])
    writeFileSync(`${victim}/${name}`, "of root\n");
  return victim;
}

/** Points every record of a ledger at a directory outside of all cgroups. */
function setBait(ledger: string, victim: string, hierarchy: string): void {
  const db = new Database(ledger);
  const cgroup = [{ hierarchy, path: victim, placedAs: "in-place" }];
  const changes = [
    { kind: "controller-enabled", hierarchy, path: victim, controller: "cpu" },
    { kind: "cgroup-created", hierarchy, path: `${victim}/empty`, role: "job" },
    { kind: "file-written", hierarchy, path: `${victim}/config`, before: "written", after: null },
    { kind: "file-written", hierarchy, path: `${victim}/cpu.max`, before: "written", after: null },
    { kind: "processes-moved", hierarchy, from: victim, to: victim },
  ];
  db.run("UPDATE jobs SET released = 0, cgroup = ?, changes = ?", [
    JSON.stringify(cgroup),
    JSON.stringify(changes),
  ]);
  db.close();
}

rootTest("root that uses the state of another user writes nothing, there or elsewhere", async () => {
  open(sandbox());
  const state = sandbox().path("home/state");
  mkdirSync(sandbox().path("home"));
  chownSync(sandbox().path("home"), STRANGER, STRANGER);
  const job = asStranger([FFRTMP, "run", "--job-id", "bait", "--state-path", state, "--", "true"]);
  expect(await sandbox().spawn(job).exited).toBe(0);
  const victim = makeVictim(sandbox());
  setBait(`${state}/ledger.db`, victim, hierarchyOf("cpu").key);
  for (const name of readdirSync(state)) chownSync(`${state}/${name}`, STRANGER, STRANGER);
  const before = snapshot(sandbox().directory);
  for (const { args, code } of COMMANDS) {
    const ended = await sandbox().run(args, { env: { FFRTMP_STATE: state } });
    expect({ args, code: ended.code }).toEqual({ args, code });
    expectMessage(ended.stderr, [
      new RegExp(`belongs to uid ${STRANGER}, and root uses no files that another user can change`),
    ]);
    expect(snapshot(sandbox().directory)).toEqual(before);
  }
});

const NOT_ROOTS: Record<string, (box: Sandbox) => void> = {
  "a directory that all can write": ({ state }) => {
    mkdirSync(state);
    chmodSync(state, 0o777);
  },
  "a sticky directory that all can write": ({ state }) => {
    mkdirSync(state);
    chmodSync(state, 0o1777);
  },
  "a directory of another group that can write": ({ state }) => {
    mkdirSync(state);
    chownSync(state, 0, STRANGER);
    chmodSync(state, 0o770);
  },
  "a parent of another user": ({ directory, state }) => {
    mkdirSync(state);
    chownSync(directory, STRANGER, 0);
  },
  "a link of another user": (box) => {
    mkdirSync(box.path("real"));
    Bun.spawnSync(["ln", "-s", box.path("real"), box.state]);
    Bun.spawnSync(["chown", "-h", `${STRANGER}`, box.state]);
  },
  "a link to the directory of another user": (box) => {
    mkdirSync(box.path("real"));
    chownSync(box.path("real"), STRANGER, 0);
    symlinkSync(box.path("real"), box.state);
  },
  "a ledger of another user": ({ state }) => {
    mkdirSync(state);
    writeFileSync(`${state}/ledger.db`, "");
    chownSync(`${state}/ledger.db`, STRANGER, 0);
  },
  "a ledger that all can write": ({ state }) => {
    mkdirSync(state);
    writeFileSync(`${state}/ledger.db`, "");
    chmodSync(`${state}/ledger.db`, 0o666);
  },
};

for (const [name, make] of Object.entries(NOT_ROOTS)) {
  rootTest(`with ${name}, run starts its workload and writes nothing there`, async () => {
    make(sandbox());
    const before = snapshot(sandbox().directory);
    const ended = await sandbox().run(["run", "--", "sh", "-c", "exit 3"]);
    expect(ended.code).toBe(3);
    expectMessage(ended.stderr, [/root uses no files that another user can change/, /kept in memory only/]);
    expect(snapshot(sandbox().directory)).toEqual(before);
    chownSync(sandbox().directory, 0, 0);
  });
}

rootTest("root follows a link of its own to a directory of its own", async () => {
  mkdirSync(sandbox().path("real"));
  symlinkSync(sandbox().path("real"), sandbox().state);
  const { code, stderr } = await sandbox().run(["run", "--job-id", "linked", "--", "true"]);
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.not.stringContaining("ffrtmp:") });
  expect(await sandbox().json(["history"])).toMatchObject([{ job_id: "linked" }]);
});

limitsTest("a record with paths outside of all cgroups is set aside, and never acted on", async () => {
  const victim = makeVictim(sandbox());
  await sandbox().run(["run", "--job-id", "bait", "--", "true"]);
  const { key, mountPoint } = hierarchyOf("cpu");
  const up = "/..".repeat(mountPoint.split("/").length);
  const before = snapshot(victim);
  for (const path of [victim, `${mountPoint}${up}${victim}`]) {
    setBait(`${sandbox().state}/ledger.db`, path, key);
    for (const args of COMMANDS_AS_USUAL) {
      const { code, stderr } = await sandbox().run(args);
      expect({ args, code }).toEqual({ args, code: 0 });
      expect(stderr).toMatch(/ledger row \S+ is inconsistent: .*It is left out, and stays as it is/);
      expect(snapshot(victim)).toEqual(before);
    }
  }
  // Of a hierarchy that is not mounted, as after a change to cgroup v2, nothing is left to undo.
  setBait(`${sandbox().state}/ledger.db`, victim, "no such hierarchy");
  for (const args of COMMANDS_AS_USUAL) expect((await sandbox().run(args)).code).toBe(0);
  expect(snapshot(victim)).toEqual(before);
});

rootTest("the files of a state directory are closed to other users", async () => {
  open(sandbox());
  await sandbox().run(["run", "--job-id", "secret", "--detach", "--", "echo", "stream key"]);
  await sandbox().resultOf("secret");
  await sandbox().run(["watch", "--once", "--target", "no-such-command"]);
  expectClosed(sandbox());
  for (const file of ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ffrtmp.log", "watch.lock"]) {
    const reading = Bun.spawnSync(asStranger(["cat", `${sandbox().state}/${file}`]));
    expect({ file, code: reading.exitCode }).toEqual({ file, code: 1 });
  }
});

rootTest("the files of an earlier ffrtmp are closed, which is reported once", async () => {
  await sandbox().run(["run", "--job-id", "old", "--detach", "--", "true"]);
  await sandbox().resultOf("old");
  const { state } = sandbox();
  writeFileSync(`${state}/watch.lock`, "");
  mkdirSync(`${state}/launches`, { recursive: true });
  for (const name of ["inbox/left.job.damaged", "launches/left.json"]) writeFileSync(`${state}/${name}`, "");
  chmodSync(state, 0o755);
  for (const path of readdirSync(state, { recursive: true }) as string[]) {
    const file = `${state}/${path}`;
    chmodSync(file, statSync(file).isDirectory() ? 0o755 : 0o644);
  }
  const first = await sandbox().run(["ps"]);
  expect(first.stderr).toMatch(/^ffrtmp: other users could read .*: it is closed to them now/);
  expectClosed(sandbox());
  const second = withoutForeignJobs((await sandbox().run(["ps"])).stderr);
  expect(second).toBe("ffrtmp: no job is running; 1 has ended: ffrtmp history\n");
});

rootTest("a directory with files of others keeps its mode, and the files of ffrtmp are closed", async () => {
  const { state } = sandbox();
  await sandbox().run(["run", "--job-id", "old", "--", "true"]);
  writeFileSync(`${state}/index.html`, "");
  chmodSync(`${state}/index.html`, 0o644);
  chmodSync(state, 0o755);
  chmodSync(`${state}/ledger.db`, 0o644);
  await sandbox().run(["ps"]);
  expect(modeOf(state)).toBe("755");
  expect(modeOf(`${state}/index.html`)).toBe("644");
  expect(modeOf(`${state}/ledger.db`)).toBe("640");
  await sandbox().run(["ps"]);
});

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

function expectClosed({ state }: Sandbox): void {
  expect(modeOf(state)).toBe("750");
  for (const path of readdirSync(state, { recursive: true }) as string[]) {
    const { mode } = statSync(`${state}/${path}`);
    expect({ path, open: (mode & 0o027).toString(8) }).toEqual({ path, open: "0" });
  }
}

/** Each makes an object that is no regular file. */
const ODD: Record<string, (path: string) => void> = {
  "a FIFO": (path) => void Bun.spawnSync(["mkfifo", path]),
  "a device": (path) => void Bun.spawnSync(["mknod", path, "c", "1", "5"]),
  "a directory": (path) => mkdirSync(path),
  "a socket": (path) =>
    void Bun.spawnSync([
      "perl",
      "-MIO::Socket::UNIX",
      "-e",
      `IO::Socket::UNIX->new(Local=>"${path}", Listen=>1)`,
    ]),
};

for (const [odd, make] of Object.entries(ODD)) {
  rootTest(`with ${odd} as ledger.db, run starts its workload, and ps says what it is`, async () => {
    mkdirSync(sandbox().state, { mode: 0o750 });
    make(`${sandbox().state}/ledger.db`);
    const ended = await sandbox().run(["run", "--", "sh", "-c", "exit 3"]);
    expect(ended.code).toBe(3);
    expectMessage(ended.stderr, [new RegExp(`ledger\\.db \\(it is ${odd}\\)`)]);
    const listed = await sandbox().run(["ps"]);
    expect(listed.code).toBe(2);
    expectMessage(listed.stderr, [new RegExp(`cannot read the ledger \\S+: it is ${odd}`)]);
  });

  rootTest(`with ${odd} as watch.lock, watch says so and does not wait`, async () => {
    mkdirSync(sandbox().state, { mode: 0o750 });
    make(`${sandbox().state}/watch.lock`);
    const { code, stderr } = await sandbox().run(["watch", "--once", "--target", "no-such-command"]);
    expect(code).toBe(0);
    expect(stderr).toMatch(new RegExp(`watch\\.lock is ${odd}$`, "m"));
  });

  rootTest(`with ${odd} as ffrtmp.log, run --detach is refused and does not wait`, async () => {
    mkdirSync(sandbox().state, { mode: 0o750 });
    make(`${sandbox().state}/ffrtmp.log`);
    const { code, stderr } = await sandbox().run(["run", "--detach", "--", "true"]);
    expect(code).toBe(125);
    expect(stderr).toMatch(new RegExp(`ffrtmp\\.log, which run --detach needs: it is ${odd}`));
  });
}

rootTest("a link as watch.lock or ffrtmp.log is not followed", async () => {
  mkdirSync(sandbox().state, { mode: 0o750 });
  for (const name of ["watch.lock", "ffrtmp.log"])
    symlinkSync(sandbox().path("target"), `${sandbox().state}/${name}`);
  const watched = await sandbox().run(["watch", "--once", "--target", "no-such-command"]);
  expect(watched.stderr).toMatch(/watch\.lock is a symbolic link$/m);
  const started = await sandbox().run(["run", "--detach", "--", "true"]);
  expect(started.stderr).toMatch(/ffrtmp\.log, which run --detach needs: it is a symbolic link/);
  expect(existsSync(sandbox().path("target"))).toBe(false);
});

rootTest("a FIFO as the log of a job is not waited for", async () => {
  await sandbox().run(["run", "--job-id", "logged", "--detach", "--", "true"]);
  await sandbox().resultOf("logged");
  const [log] = readdirSync(`${sandbox().state}/logs`);
  renameSync(`${sandbox().state}/logs/${log}`, sandbox().path("log"));
  ODD["a FIFO"]?.(`${sandbox().state}/logs/${log}`);
  const { code, stderr } = await sandbox().run(["logs", "logged"]);
  expect(code).toBe(2);
  expectMessage(stderr, [/cannot read the log \S+: it is a FIFO$/m]);
});

test("an empty ledger with a log of changes beside it is damage, and both are kept", async () => {
  await sandbox().run(["run", "--job-id", "before", "--", "true"]);
  const { state } = sandbox();
  const log = readFileSync(`${state}/ledger.db-wal`);
  expect(log.length).toBeGreaterThan(0);
  truncateSync(`${state}/ledger.db`, 0);
  const ended = await sandbox().run(["run", "--job-id", "after", "--", "sh", "-c", "exit 3"]);
  expect(ended.code).toBe(3);
  expectMessage(ended.stderr, [/the ledger \S+ is damaged \(it is empty.*it was set aside as \S+\.damaged-/]);
  const aside = readdirSync(state).find((name) => /\.damaged-.*-wal$/.test(name));
  expect(readFileSync(`${state}/${aside}`).equals(log)).toBe(true);
  expect(await sandbox().json(["history"])).toMatchObject([{ job_id: "after" }]);
});

test("an empty ledger beside the output of earlier jobs is damage", async () => {
  await sandbox().run(["run", "--job-id", "before", "--detach", "--", "true"]);
  await sandbox().resultOf("before");
  const { state } = sandbox();
  for (const suffix of ["-wal", "-shm"]) await Bun.file(`${state}/ledger.db${suffix}`).delete();
  truncateSync(`${state}/ledger.db`, 0);
  const { stderr } = await sandbox().run(["ps"]);
  expect(stderr).toMatch(/is damaged \(it is empty/);
});

test("a log of changes without its ledger is not applied to a new ledger", async () => {
  await sandbox().run(["run", "--job-id", "before", "--", "true"]);
  await Bun.file(`${sandbox().state}/ledger.db`).delete();
  const { code, stderr } = await sandbox().run(["run", "--job-id", "after", "--", "sh", "-c", "exit 3"]);
  expect(code).toBe(3);
  expectMessage(stderr, [/the ledger \S+ is damaged \(it is missing/]);
  expect(await sandbox().json(["history"])).toMatchObject([{ job_id: "after" }]);
});

test("an empty ledger without traces of earlier jobs becomes a new one", async () => {
  mkdirSync(sandbox().state, { mode: 0o750 });
  writeFileSync(`${sandbox().state}/ledger.db`, "", { mode: 0o640 });
  const { code, stderr } = await sandbox().run(["run", "--job-id", "first", "--", "true"]);
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.not.stringContaining("ffrtmp:") });
  expect(await sandbox().json(["history"])).toMatchObject([{ job_id: "first" }]);
});

/** Values that another program could have left in a ledger. */
const UNREADABLE: Record<string, string> = {
  "a journal of another form": `UPDATE jobs SET released = 0, changes = '[1, null, {"kind":"x"}, {"kind":"file-written"}]'`,
  "a cgroup of another form": `UPDATE jobs SET released = 0, cgroup = '[null, 5, {"path":7}]'`,
  "a thread id with a path": `UPDATE jobs SET released = 0, changes =
    '[{"kind":"attribute-set","attribute":"nice","pid":"../x","tid":"1","startTicks":1,"before":0,"after":1}]'`,
  "limits of another form": `UPDATE jobs SET released = 0, limits = '{"cpuMax":"max","ioMax":{"a":1}}'`,
  "outcomes of another form": `UPDATE jobs SET released = 0, outcomes = '[null, 3]'`,
  "a command of another form": `UPDATE jobs SET released = 0, command = '[{"a":1}, null]'`,
  "a blob that is no text": "UPDATE jobs SET released = 0, labels = 'ÿ'",
  "a note that is no JSON": "INSERT OR REPLACE INTO notes VALUES ('watch', '{'), ('watch_report', '[1]')",
};

for (const [name, statement] of Object.entries(UNREADABLE)) {
  test(`with ${name} in the ledger every command works, and run starts its workload`, async () => {
    await sandbox().run(["run", "--job-id", "old", "--", "true"]);
    sandbox().sql(statement);
    const target = ["--target", "no-such-command"];
    for (const args of [["ps"], ["history"], ["ps", "--daemon"], ["watch", "--once", ...target]]) {
      const { code, stderr } = await sandbox().run(args);
      expect({ args, code }).toEqual({ args, code: 0 });
      expect(stderr).not.toMatch(/internal error/);
    }
    expect((await sandbox().run(["run", "--job-id", "new", "--", "sh", "-c", "exit 3"])).code).toBe(3);
    expect((await sandbox().run(["inspect", "old"])).stderr).not.toMatch(/internal error/);
  });
}
