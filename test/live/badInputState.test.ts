import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { expectMessage, PRIVATE_MOUNTS, processesOf, runScript } from "../support/badInput.ts";
import { type Ended, lacksCommand, lacksRoot, type Sandbox, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();

/** A workload whose output and exit code show that it ran. */
const WORKLOAD = ["sh", "-c", "echo ran; exit 3"];
const LOST = /\d changes are lost that could not be written to the ledger/;

/** State directories that cannot be used, and the messages about them. */
const UNUSABLE: { name: string; make(sandbox: Sandbox): void; reason: string; remedy: RegExp }[] = [
  {
    name: "a file in place of the state directory",
    make: ({ state }) => writeFileSync(state, ""),
    reason: "ENOTDIR \\(part of the path is not a directory\\)",
    remedy: /FFRTMP_STATE/,
  },
  {
    name: "a directory in place of the ledger",
    make: ({ state }) => mkdirSync(`${state}/ledger.db`, { recursive: true }),
    reason: "it is a directory",
    remedy: /FFRTMP_STATE/,
  },
  {
    name: "a ledger of a newer schema",
    make: (sandbox) => withDatabase(sandbox, "PRAGMA user_version = 999; CREATE TABLE jobs (a)"),
    reason: "its schema is version 999, and this ffrtmp knows versions up to \\d+",
    remedy: /Use the newer ffrtmp that wrote it/,
  },
  {
    name: "another program's database",
    make: (sandbox) => withDatabase(sandbox, "CREATE TABLE accounts (a)"),
    reason: "it is the database of something else",
    remedy: /To leave it alone, name another directory/,
  },
];

for (const { name, make, reason, remedy } of UNUSABLE) {
  test(`with ${name} run starts its workload, and reports once what is not recorded`, async () => {
    make(sandbox());
    const ended = await sandbox().run(["run", "--", ...WORKLOAD]);
    expectRan(ended);
    expectMessage(ended.stderr, [
      new RegExp(`ledger\\.db \\(${reason}\\)`),
      remedy,
      /governing continues, what happens is kept in memory only/,
      LOST,
    ]);
    expectOnce(ended.stderr, "cannot write the ledger");
    expect(sandbox().cgroups()).toEqual([]);
  });

  test(`with ${name} ps and history fail instead of printing an empty list`, async () => {
    make(sandbox());
    const before = contentOf(sandbox());
    for (const args of [["ps"], ["history"], ["inspect", "job"], ["logs", "job"], ["detach", "job"]]) {
      const ended = await sandbox().run(args);
      expect(ended.code).toBe(2);
      expectMessage(ended.stderr, [
        new RegExp(`cannot read the ledger \\S+ledger\\.db: ${reason}`),
        new RegExp(`try: .*${remedy.source}`),
      ]);
      expect(ended.stderr).not.toMatch(/there is no job/);
      // A command that reads has nothing to write.
      const advice = args[0] === "detach" ? /internal error/ : /cannot write|[Mm]ake it writable/;
      expect(ended.stderr).not.toMatch(advice);
    }
    expect(contentOf(sandbox())).toEqual(before);
  });
}

test("run --detach starts nothing when its log cannot be written", async () => {
  writeFileSync(sandbox().state, "");
  const marker = sandbox().path("marker");
  const ended = await sandbox().run(["run", "--detach", "--", "touch", marker]);
  expect({ ...ended, stderr: "" }).toEqual({ code: 125, stdout: "", stderr: "" });
  expectMessage(ended.stderr, [
    /cannot write \S+ffrtmp\.log, which run --detach needs: EEXIST/,
    /try: ffrtmp run --state-path DIR/,
  ]);
  expect(processesOf(sandbox())).toEqual([]);
  expect(existsSync(marker)).toBe(false);
});

test("a damaged ledger is renamed with its date and reported, and a new one is started", async () => {
  mkdirSync(sandbox().state);
  const damaged = "this is no database\n".repeat(500);
  writeFileSync(`${sandbox().state}/ledger.db`, damaged);
  const ended = await sandbox().run(["run", "--job-id", "after", "--", ...WORKLOAD]);
  expectRan(ended);
  expectMessage(ended.stderr, [
    /the ledger \S+ is damaged \(.*not a database\): it was set aside as \S+\.damaged-/,
  ]);
  const aside = readdirSync(sandbox().state).find((file) => file.startsWith("ledger.db.damaged-"));
  expect(readFileSync(`${sandbox().state}/${aside}`, "utf8")).toBe(damaged);

  const again = await sandbox().run(["history"]);
  expect({ code: again.code, stderr: again.stderr }).toEqual({ code: 0, stderr: "" });
  expect(again.stdout).toContain("after");
});

test("the next ffrtmp finds a job again whose ledger was damaged", async () => {
  const { pid, wrapper } = await sandbox().startJob("kept", [], ["sleep", "60"]);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  const hadGroups = sandbox().cgroups().length > 0;
  for (const file of readdirSync(sandbox().state).filter((name) => name.startsWith("ledger.db")))
    writeFileSync(`${sandbox().state}/${file}`, "damage".repeat(999));
  const ended = await sandbox().run(["ps", "--json"]);
  expect(ended.code).toBe(0);
  expectMessage(ended.stderr, [/is damaged/]);
  const jobs = JSON.parse(ended.stdout);
  // Without cgroups only the ledger knew the job of the process.
  expect(jobs).toMatchObject(hadGroups ? [{ job_id: "kept", pid, state: "running" }] : []);
});

test("an empty ledger file is a new ledger", async () => {
  mkdirSync(sandbox().state);
  writeFileSync(`${sandbox().state}/ledger.db`, "");
  const ended = await sandbox().run(["ps"]);
  expect(ended.code).toBe(0);
  expectMessage(ended.stderr, [/^ffrtmp: no job has been recorded in \S+state$/m]);
});

const lacksMounts = lacksRoot() ?? lacksCommand("unshare");

testIf(lacksMounts)(
  "with a read-only state directory run starts its workload and names the file system",
  async () => {
    const ended = await runScript(
      sandbox(),
      `mkdir state && mount -t tmpfs -o ro,mode=750 none state && exec "$F" run -- sh -c 'echo ran; exit 3'`,
      {},
      PRIVATE_MOUNTS,
    );
    expectRan(ended);
    expectMessage(ended.stderr, [
      /EROFS \(mounted read-only\) writing to \S+state/,
      /name another directory/,
      LOST,
    ]);
    expectOnce(ended.stderr, "cannot write the ledger");
  },
);

testIf(lacksMounts)(
  "on a full disk run starts its workload, records stay readable, and writing resumes when there is space",
  async () => {
    const ended = await runScript(
      sandbox(),
      `mkdir state && mount -t tmpfs -o size=1m,mode=750 none state || exit 99
    "$F" run --job-id before -- true 2> before.err
    dd if=/dev/zero of=state/filler bs=1k count=2048 2> /dev/null
    "$F" run --job-id during -- sh -c 'echo ran; exit 3' > during.out 2> during.err
    echo $? > during.code
    "$F" history > full.out 2> full.err
    echo $? > full.code
    "$F" run --detach --job-id behind -- true > behind.out 2> behind.err
    rm state/filler
    "$F" run --job-id after -- true 2> after.err
    "$F" history --json`,
      {},
      PRIVATE_MOUNTS,
    );
    const read = (name: string) => readFileSync(sandbox().path(name), "utf8");
    expect(read("before.err")).toMatch(/^JOB before \| outcome=succeeded \| sla=COMPLIANT/);
    expect({ code: read("during.code"), stdout: read("during.out") }).toEqual({
      code: "3\n",
      stdout: "ran\n",
    });
    expectMessage(read("during.err"), [
      /disk is full\): governing continues/,
      /Make room there/,
      /^JOB during /m,
      LOST,
    ]);
    expectOnce(read("during.err"), "cannot write the ledger");
    expect(read("full.code")).toBe("0\n");
    expect(read("full.out")).toContain("before");
    expect(read("behind.out")).toBe("behind\n");
    expect(read("behind.err")).toMatch(/disk is full/);
    expect(read("after.err")).toMatch(/^JOB after \| outcome=succeeded \| sla=COMPLIANT/);
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.stdout).map((result: { job_id: string }) => result.job_id)).toContain("after");
    expect(sandbox().cgroups()).toEqual([]);
  },
);

testIf(lacksRoot() ?? lacksCommand("setpriv"))(
  "a member of the group of root's state can read its records, and run without writing there",
  async () => {
    const group = 54321;
    mkdirSync(sandbox().state);
    chownSync(sandbox().state, 0, group);
    chmodSync(sandbox().state, 0o2750);
    await sandbox().run(["run", "--job-id", "roots", "--", "true"]);
    chmodSync(sandbox().directory, 0o755);
    const asUser = (args: string, groups = `--groups ${group}`) =>
      runScript(sandbox(), `exec setpriv --reuid 65534 --regid 65534 ${groups} "$F" ${args}`);
    const refused = await asUser("history", "--clear-groups");
    expect(refused.code).toBe(2);
    expectMessage(refused.stderr, [/cannot read the ledger \S+: EACCES/]);
    const history = await asUser("history");
    expect(history.code).toBe(0);
    expect(history.stdout).toContain("roots");
    const ended = await asUser("run -- sh -c 'echo ran; exit 3'");
    expectRan(ended);
    expectMessage(ended.stderr, [
      /EACCES \(permission denied\) writing to \S+state/,
      /Make it writable for uid 65534/,
    ]);
  },
);

testIf(lacksRoot() ?? lacksCommand("setpriv"))(
  "a user without an entry in the user database and without a home can run",
  async () => {
    const { code, stdout, stderr } = await runScript(
      sandbox(),
      `unset HOME FFRTMP_STATE XDG_STATE_HOME
      exec setpriv --reuid 54321 --regid 54321 --clear-groups "$F" run -- sh -c 'echo ran; exit 3'`,
    );
    expectRan({ code, stdout, stderr });
    expectMessage(stderr, [/cannot write the ledger \/\.local\/state\/ffrtmp\/ledger\.db \(EACCES/]);
  },
);

function expectRan({ code, stdout }: Ended): void {
  expect({ code, stdout }).toEqual({ code: 3, stdout: "ran\n" });
}

function expectOnce(text: string, part: string): void {
  expect(text.split(part)).toHaveLength(2);
}

function withDatabase({ state }: Sandbox, sql: string): void {
  mkdirSync(state);
  const db = new Database(`${state}/ledger.db`, { create: true });
  db.run(sql);
  db.close();
}

/** The files of the state directory, except those that SQLite makes beside an open database. */
function contentOf({ state }: Sandbox): unknown {
  try {
    return readdirSync(state)
      .filter((name) => !/-(wal|shm)$/.test(name))
      .map((name) => [name, name === "ledger.db" ? readOrNothing(`${state}/${name}`) : ""]);
  } catch {
    return readFileSync(state, "utf8");
  }
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "base64");
  } catch {
    return "";
  }
}
