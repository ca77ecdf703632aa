import { expect, test } from "bun:test";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

interface Line {
  time: string;
  kind: string;
  job_id: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: the details have many shapes
  detail: any;
}

async function eventsOf(...args: string[]): Promise<Line[]> {
  const { stdout } = await sandbox().run(["events", "--json", ...args]);
  return linesOf(stdout);
}

function linesOf(text: string): Line[] {
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

test("events prints the registration, the start and the end of a job, one line each, in order", async () => {
  await sandbox().run(["run", "--job-id", "one", "--", "sh", "-c", "exit 3"]);
  await sandbox().run(["run", "--job-id", "two", "--", "true"]);
  const { code, stdout, stderr } = await sandbox().run(["events"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const rows = stdout.trimEnd().split("\n");
  expect(rows.map((row) => row.split(/ +/).slice(1, 3).join(" "))).toEqual(
    ["one", "two"].flatMap((job) => [`registered ${job}`, `started ${job}`, `ended ${job}`]),
  );
  expect(rows[2]).toMatch(
    /^\d{4}-\d\d-\d\dT\S+[+-]\d\d:\d\d {2}ended {2,}one {2}.*sla=COMPLIANT .*exit=3 pid=\d+$/,
  );
  const utc = await sandbox().run(["events", "--utc"], { env: { TZ: "Europe/Berlin" } });
  expect(utc.stdout).toMatch(/^\d{4}-\d\d-\d\dT\S+Z {2}registered/);
  const local = await sandbox().run(["events"], { env: { TZ: "Asia/Kolkata" } });
  expect(local.stdout).toMatch(/^\d{4}-\d\d-\d\dT\S+\+05:30 {2}registered/);
  expect((await eventsOf("--job", "two")).map(({ kind }) => kind)).toEqual([
    "registered",
    "started",
    "ended",
  ]);
  const [, started, ended] = await eventsOf();
  expect(started).toMatchObject({ kind: "started", job_id: "one", detail: { mode: "run", limits: [] } });
  expect(ended?.detail).toMatchObject({ outcome: "failed", exit_code: 3, exit_evidence: "parent" });
});

limitsTest("events shows limits at the start, and does not invent them after a change", async () => {
  const { jobId } = await sandbox().startJob("limited", ["--cpu-quota", "50"], ["sleep", "1000"]);
  expect((await sandbox().run(["events"])).stdout).toMatch(/started .* limits="cpu\.max applied"$/m);
  await sandbox().run(["limits", "set", "--pids-max", "20", jobId]);
  await sandbox().run(["detach", jobId]);
  const lines = await eventsOf("--job", jobId);
  expect(lines.map(({ kind }) => kind)).toEqual(["registered", "started", "limits_changed", "detached"]);
  expect(lines[1]?.detail.limits).toBeNull();
  expect(lines[2]?.detail.now.join()).toContain("pids.max");
});

test("events --since leaves out what is older, and says when nothing is left", async () => {
  await sandbox().run(["run", "--job-id", "old", "--", "true"]);
  sandbox().sql("INSERT INTO events (key, at_ms, kind, detail) VALUES ('', ?, 'events_lost', '{}')", 1000);
  expect((await eventsOf()).map(({ kind }) => kind)).not.toContain("events_lost");
  expect((await eventsOf("--since", "1970-01-01"))[0]).toEqual({
    time: "1970-01-01T00:00:01.000Z",
    kind: "events_lost",
    job_id: null,
    detail: {},
  });
  const { code, stdout, stderr } = await sandbox().run(["events", "--since", "2100-01-01"]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  expect(stderr).toMatch(/no event is recorded since 2(099|100)-/);
  expect((await sandbox().run(["events", "--since", "yesterday-ish"])).code).toBe(2);
});

test("events -f waits for a ledger, and then prints what happens", async () => {
  const [out, err] = [sandbox().path("out"), sandbox().path("err")];
  sandbox().start(["events", "-f", "--json"], { stdout: openSync(out, "w"), stderr: openSync(err, "w") });
  await until("it waits", () => readFileSync(err, "utf8").includes("waiting until there is a ledger"));
  const kindsOf = (job: string) =>
    linesOf(readFileSync(out, "utf8"))
      .filter(({ job_id: id }) => id === job)
      .map(({ kind }) => kind);
  await sandbox().run(["run", "--job-id", "first", "--", "true"]);
  await until("the first job is printed", () => kindsOf("first").length === 3);
  await sandbox().run(["run", "--job-id", "second", "--", "false"]);
  await until("the second job is printed", () => kindsOf("second").length === 3);
  for (const job of ["first", "second"]) expect(kindsOf(job)).toEqual(["registered", "started", "ended"]);
});

test("events -f prints only new events, and those after a deletion of old ones", async () => {
  for (const job of ["a", "b", "c"]) await sandbox().run(["run", "--job-id", job, "--", "true"]);
  const out = sandbox().path("out");
  const { pid } = sandbox().start(["events", "-f", "--json"], { stdout: openSync(out, "w") });
  await until("it has opened the ledger", () => readFileSync(`/proc/${pid}/maps`, "utf8").includes("-shm"));
  const jobs = () => linesOf(readFileSync(out, "utf8")).map(({ job_id: id, kind }) => `${id} ${kind}`);
  await until("it follows", async () => {
    await sandbox().run(["run", "--job-id", "d", "--", "true"]);
    return jobs().includes("d ended");
  });
  expect(jobs().filter((line) => /^[abc] /.test(line))).toEqual([]);
  await sandbox().run(["prune", "--older-than", "0s"]);
  await sandbox().run(["run", "--job-id", "e", "--", "true"]);
  await until("a job with the row of a deleted one is printed", () => jobs().includes("e ended"));
  expect(jobs().filter((line) => line.startsWith("e "))).toEqual(["e registered", "e started", "e ended"]);
});

test("events shows the starts and stops of the daemon, and a rejected policy", async () => {
  const policy = sandbox().path("policy.yaml");
  writeFileSync(policy, "target_commands: [no-such-command]\n");
  const start = async (n: number): Promise<Bun.Subprocess> => {
    const log = sandbox().path(`log-${n}`);
    const daemon = sandbox().start(["watch", "--watch-config", policy], { stderr: openSync(log, "w") });
    await until("the daemon watches", () => readFileSync(log, "utf8").includes("Watching for"));
    return daemon;
  };
  const first = await start(1);
  writeFileSync(policy, "target_commands: 5\n");
  await until("the policy is rejected", async () =>
    (await eventsOf()).some(({ kind }) => kind === "policy_rejected"),
  );
  writeFileSync(policy, "target_commands: [no-such-command]\n");
  await until("the policy is loaded", async () =>
    (await eventsOf()).some(({ kind }) => kind === "policy_loaded"),
  );
  first.kill("SIGKILL");
  await first.exited;
  const second = await start(2);
  second.kill("SIGTERM");
  await second.exited;
  const lines = (await eventsOf()).filter(({ job_id: id }) => id === null);
  const started = lines.filter(({ kind }) => kind === "daemon_started");
  expect(started.map(({ detail }) => [detail.pid, detail.previous_died])).toEqual([
    [first.pid, false],
    [second.pid, true],
  ]);
  expect(lines.find(({ kind }) => kind === "policy_rejected")?.detail.faults[0]).toContain("target_commands");
  expect(lines.at(-1)).toMatchObject({
    kind: "daemon_stopped",
    detail: { pid: second.pid, signal: "SIGTERM" },
  });
});

test("no text of an event forges another line", async () => {
  await sandbox().run(["run", "--", "true"]);
  sandbox().sql(
    "INSERT INTO events (key, at_ms, kind, detail) VALUES ('', ?, ?, ?)",
    Date.now(),
    "odd\u001b[2J",
    JSON.stringify({ reason: "a\n2026-01-01T00:00:00Z  ended  forged" }),
  );
  const { stdout } = await sandbox().run(["events"]);
  expect(stdout.trimEnd().split("\n")).toHaveLength(4);
  expect(stdout).not.toContain("\u001b");
  expect(await eventsOf()).toHaveLength(4);
});
