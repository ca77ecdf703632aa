import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FFRTMP, lacksCommand, lacksRoot, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const BERLIN = "/usr/share/zoneinfo/Europe/Berlin";
const zoneTest = testIf(existsSync(BERLIN) ? undefined : "needs the time zones of the system");
const localtimeTest = testIf(
  lacksRoot() ?? (existsSync(BERLIN) ? undefined : "needs the time zones of the system"),
);
const terminalTest = testIf(lacksCommand("script"));
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Runs a job, and moves its recorded end. */
async function runEnded(
  jobId: string,
  script: string,
  endMs?: number,
  columns: Record<string, string | number> = {},
): Promise<void> {
  await sandbox().run(["run", "--job-id", jobId, "--sla-eligible", "--", "sh", "-c", script]);
  const latest = "(SELECT key FROM jobs WHERE job_id = ? ORDER BY created_ms DESC, key DESC LIMIT 1)";
  for (const [column, value] of Object.entries(columns))
    sandbox().sql(`UPDATE jobs SET ${column} = ? WHERE key = ${latest}`, value, jobId);
  if (endMs === undefined) return;
  // Only a test changes a result, without the trigger that forbids it.
  sandbox().sql("DROP TRIGGER IF EXISTS results_are_immutable");
  sandbox().sql(`UPDATE results SET end_ms = ? WHERE key = ${latest}`, endMs, jobId);
}

const idsOf = async (...args: string[]): Promise<string[]> =>
  ((await sandbox().json(["history", ...args])) as { job_id: string }[]).map(({ job_id }) => job_id);

test("history filters by job, time, outcome, verdict and tenant, and all at once", async () => {
  const now = Date.now();
  await runEnded("old", "exit 1", now - 3 * DAY_MS);
  await runEnded("again", "exit 0", now - 2 * DAY_MS);
  await runEnded("killed", "kill -9 $$", now - 5 * HOUR_MS, { tenant: "acme" });
  await runEnded("again", "exit 7", now - 4 * HOUR_MS);
  await runEnded("good", "exit 0", now - HOUR_MS, { tenant: "acme" });
  await runEnded("bad-limit", "exit 0", now - HOUR_MS / 2);
  const violation = "sla_compliant = 0, sla_reason = 'limit_not_applied(cpu.max)'";
  sandbox().sql(
    `UPDATE results SET ${violation} WHERE key = (SELECT key FROM jobs WHERE job_id = ?)`,
    "bad-limit",
  );
  expect(await idsOf()).toEqual(["bad-limit", "good", "again", "killed", "again", "old"]);
  expect(await idsOf("again")).toEqual(["again", "again"]);
  expect(await idsOf("--since", "24h")).toEqual(["bad-limit", "good", "again", "killed"]);
  expect(await idsOf("--since", "3d", "--until", "24h")).toEqual(["again"]);
  expect(await idsOf("--since", new Date(now - 5 * HOUR_MS).toISOString())).toHaveLength(4);
  expect(await idsOf("--until", new Date(now - 5 * HOUR_MS).toISOString())).toEqual(["again", "old"]);
  expect(await idsOf("--failed")).toEqual(["again", "killed", "old"]);
  expect(await idsOf("--failed", "--since", "yesterday", "--limit", "1")).toEqual(["again"]);
  expect(await idsOf("--violations")).toEqual(["bad-limit"]);
  expect(await idsOf("--tenant", "acme")).toEqual(["good", "killed"]);
  expect(await idsOf("--tenant", "acme", "--since", "2h")).toEqual(["good"]);
  expect(await idsOf("--tenant", "none")).toEqual([]);
  expect(await idsOf("again", "--failed", "--since", "1d", "--until", "now")).toEqual(["again"]);
  const limited = await sandbox().run(["history", "--limit", "2"]);
  expect(limited.stdout.trimEnd().split("\n")).toHaveLength(3);
  expect(limited.stderr).toBe("");
});

test("history without --limit shows the latest 50 jobs, and says that there are more", async () => {
  for (let index = 0; index < 51; index++)
    await sandbox().run(["run", "--job-id", `j${index}`, "--", "true"]);
  const { stdout, stderr } = await sandbox().run(["history"]);
  expect(stdout.trimEnd().split("\n")).toHaveLength(51);
  expect(stdout).not.toContain(" j0 ");
  expect(stderr).toBe(
    "ffrtmp: only the latest 50 of the jobs are shown. For more: ffrtmp history --limit N\n",
  );
});

test("history --failed says how many jobs it leaves out because their outcome is unknown", async () => {
  const { wrapper, pid } = await sandbox().startJob("unseen", [], ["sleep", "600"]);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  process.kill(pid, "SIGKILL");
  await until("its end is recorded", async () => (await idsOf()).length === 1);
  const { stdout, stderr } = await sandbox().run(["history", "--failed"]);
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  expect(stderr).toMatch(/^ffrtmp: 1 more job has an unknown outcome, and may have failed\. /);
  expect((await sandbox().run(["history", "--failed", "--until", "2020-01-01"])).stderr).toBe("");
});

for (const [args, message] of [
  [
    ["--since", "gestern"],
    /--since <time>' argument 'gestern' is invalid\. It is not a time\. Expected: a time, such as/,
  ],
  [["--since", "2026-02-30"], /It is a date that no calendar has\./],
  [
    ["--until", "25:00"],
    /--until <time>' argument '25:00' is invalid\. It is a time of day that no clock shows\./,
  ],
  [["--since", "9999-01-01"], /--since 9999-01-01 is in the future: 9999-01-01 00:00:00/],
  [["--since", "1h", "--until", "2h"], /--until 2h is not later than --since 1h: /],
  [["--sla", "--failed"], /'--sla' cannot be used with option '--failed'/],
  [["no-such-job"], /there is no job no-such-job in /],
] as const) {
  test(`history ${args.join(" ")} is refused, and says why`, async () => {
    await sandbox().run(["run", "--", "true"]);
    const { code, stdout, stderr } = await sandbox().run(["history", ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
  });
}

zoneTest("times are local, with the offset of that day; --utc and --json are in UTC", async () => {
  await runEnded("winter", "exit 0", Date.UTC(2026, 0, 15, 13, 25, 55));
  await runEnded("summer", "exit 0", Date.UTC(2026, 6, 15, 13, 25, 55));
  const history = async (zone: string, ...args: string[]): Promise<string> =>
    (await sandbox().run(["history", ...args], { env: { TZ: zone } })).stdout;
  const berlin = await history("Europe/Berlin");
  expect(berlin).toContain("2026-01-15 14:25:55+01:00  winter");
  expect(berlin).toContain("2026-07-15 15:25:55+02:00  summer");
  expect(await history("America/St_Johns")).toContain("2026-01-15 09:55:55-03:30  winter");
  expect(await history("Europe/Berlin", "--utc")).toContain("2026-07-15 13:25:55Z  summer");
  expect(await history("Europe/Berlin", "--json")).toContain('"end_time": "2026-07-15T13:25:55.000Z"');
  const shown = async (...args: string[]): Promise<number> =>
    JSON.parse(await history("Europe/Berlin", "--json", ...args)).length;
  expect(await shown("--since", "2026-07-15 15:25:55", "--until", "2026-07-15 15:25:56")).toBe(1);
  expect(await shown("--since", "2026-07-15 15:25:56", "--until", "2026-07-16")).toBe(0);
  const inspected = await sandbox().run(["inspect", "summer"], { env: { TZ: "Europe/Berlin" } });
  expect(inspected.stdout).toMatch(/^ended +2026-07-15 15:25:55\.000\+02:00, exited$/m);
  const utc = await sandbox().run(["inspect", "summer", "--utc"]);
  expect(utc.stdout).toMatch(/^ended +2026-07-15 13:25:55\.000Z, exited$/m);
});

zoneTest("--since and --until know the hours that the clock skips and shows twice", async () => {
  const env = { TZ: "Europe/Berlin" };
  const ids = async (...args: string[]): Promise<string[]> => {
    const { stdout } = await sandbox().run(["history", "--json", ...args], { env });
    return JSON.parse(stdout).map(({ job_id }: { job_id: string }) => job_id);
  };
  await runEnded("before-gap", "exit 0", Date.UTC(2026, 2, 29, 0, 59));
  await runEnded("after-gap", "exit 0", Date.UTC(2026, 2, 29, 1, 0));
  await runEnded("first-pass", "exit 0", Date.UTC(2026, 9, 25, 0, 29));
  await runEnded("second-pass", "exit 0", Date.UTC(2026, 9, 25, 1, 29));
  expect(await ids("--since", "2026-03-29 02:00", "--until", "2026-03-29 04:00")).toEqual(["after-gap"]);
  expect(await ids("--since", "2026-03-29 01:30", "--until", "2026-03-29 03:00")).toEqual(["before-gap"]);
  expect(await ids("--since", "2026-10-25 02:00", "--until", "2026-10-25 02:30")).toEqual([
    "second-pass",
    "first-pass",
  ]);
});

localtimeTest("without TZ the zone is that of /etc/localtime", async () => {
  await runEnded("summer", "exit 0", Date.UTC(2026, 6, 15, 13, 25, 55));
  const etc = mkdtempSync(join(tmpdir(), "ffrtmp-etc-"));
  try {
    // In a mount namespace of its own, which ends with the command.
    const script = `mount --bind '${etc}' /etc && env -u TZ "$0" history`;
    for (const command of [`ln -s ${BERLIN}`, `cp ${BERLIN}`]) {
      rmSync(join(etc, "localtime"), { force: true });
      await sandbox().spawn(["sh", "-c", `${command} '${etc}/localtime'`]).exited;
      const child = sandbox().spawn(["unshare", "--mount", "sh", "-c", script, FFRTMP]);
      const text = await new Response(child.stdout as ReadableStream).text();
      expect(await child.exited).toBe(0);
      expect(text).toContain("2026-07-15 15:25:55+02:00  summer");
    }
  } finally {
    rmSync(etc, { recursive: true });
  }
});

terminalTest("a terminal gets how long ago, and an option overrides it", async () => {
  await runEnded("ended", "exit 0", Date.now() - 3 * 60_000 - 1000);
  const onTerminal = async (args: string, width = 200): Promise<string> => {
    const command = `stty cols ${width}; '${FFRTMP}' history ${args}`;
    const child = sandbox().spawn(["script", "-qec", command, "/dev/null"]);
    return new Response(child.stdout as ReadableStream).text();
  };
  expect(await onTerminal("")).toMatch(/succeeded +3 min ago +ended /);
  const narrow = (await onTerminal("", 80)).trimEnd().split(/\r?\n/);
  expect(narrow[0]).toMatch(/^OUTCOME +ENDED +JOB +EXIT /);
  expect(narrow.filter((line) => line.length > 80)).toEqual([]);
  expect(await onTerminal("--time absolute")).toMatch(/succeeded +\d{4}-\d\d-\d\d \S+[+-]\d\d:\d\d +ended /);
  expect(await onTerminal("--utc")).toMatch(/succeeded +\d{4}-\d\d-\d\d [\d:]+Z +ended /);
});

test("a pipe gets the time of day, unless an option asks how long ago", async () => {
  await runEnded("ended", "exit 0", Date.now() - 3 * 60_000 - 1000);
  const { stdout } = await sandbox().run(["history"]);
  expect(stdout).toMatch(/succeeded +\d{4}-\d\d-\d\d \S+[+-]\d\d:\d\d +ended /);
  const relative = await sandbox().run(["history", "--time", "relative"]);
  expect(relative.stdout).toMatch(/succeeded +3 min ago +ended /);
});

test("history --sla counts the eligible jobs of a period, overall and for each tenant", async () => {
  const now = Date.now();
  await sandbox().run(["run", "--job-id", "not-eligible", "--", "false"]);
  expect((await sandbox().run(["history", "--sla"])).stdout).toMatch(
    /^No --sla-eligible job ended from \S+ \S+ to \S+ \S+\n1 other job ended that is not --sla-eligible\n$/,
  );
  expect(await sandbox().json(["history", "--sla"])).toMatchObject({
    overall: { eligible: 0, rate_percent: null, reasons: [] },
    tenants: [],
    not_eligible: 1,
  });
  await runEnded("a", "exit 1", now - HOUR_MS, { tenant: "acme" });
  await runEnded("b", "exit 0", now - HOUR_MS, { tenant: "acme" });
  await runEnded("c", "exit 0", now - HOUR_MS, { tenant: "beta" });
  await runEnded("d", "exit 0", now - HOUR_MS);
  await runEnded("older", "exit 0", now - 2 * DAY_MS);
  const violation = "sla_compliant = 0, sla_reason = 'limit_not_applied(cpu.max)'";
  sandbox().sql(
    `UPDATE results SET ${violation} WHERE key IN (SELECT key FROM jobs WHERE job_id IN ('b', 'older'))`,
  );
  const reasons = [{ reason: "limit_not_applied(cpu.max)", jobs: 1 }];
  const rates = await sandbox().json(["history", "--sla"]);
  expect(rates).toMatchObject({
    overall: { eligible: 4, compliant: 3, violations: 1, rate_percent: 75, reasons },
    tenants: [
      { tenant: "acme", eligible: 2, compliant: 1, violations: 1, rate_percent: 50, reasons },
      { tenant: null, eligible: 1, rate_percent: 100 },
      { tenant: "beta", eligible: 1, rate_percent: 100, reasons: [] },
    ],
    not_eligible: 1,
  });
  expect(Date.parse(rates.until) - Date.parse(rates.since)).toBe(DAY_MS);
  expect((await sandbox().json(["history", "--sla", "--since", "7d"])).overall).toMatchObject({
    eligible: 5,
    violations: 2,
    rate_percent: 60,
  });
  expect((await sandbox().json(["history", "--sla", "--tenant", "beta"])).overall.eligible).toBe(1);
  const { stdout } = await sandbox().run(["history", "--sla"]);
  expect(stdout).toMatch(/^\(all\) +4 +3 +1 +75\.00 % +limit_not_applied\(cpu\.max\): 1$/m);
  expect(stdout).toMatch(/^acme +2 +1 +1 +50\.00 % +limit_not_applied\(cpu\.max\): 1$/m);
  expect(stdout).toMatch(/^\(no tenant\) +1 +1 +0 +100\.00 %$/m);
});

test("ps --daemon has the rates of the last 24 hours", async () => {
  await runEnded("a", "exit 1", Date.now() - HOUR_MS, { tenant: "acme" });
  await sandbox().run(["watch", "--once", "--target", "no-such-program"]);
  const { stdout } = await sandbox().run(["ps", "--daemon"]);
  expect(stdout).toMatch(/^sla, last 24 h +100\.00 % of 1 job, 0 violations$/m);
  expect(stdout).toMatch(/^ +acme: 100\.00 % of 1 job, 0 violations$/m);
  expect((await sandbox().json(["ps", "--daemon"])).sla_last_24h).toMatchObject({
    overall: { eligible: 1, rate_percent: 100 },
  });
});
