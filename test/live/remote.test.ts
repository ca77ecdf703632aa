import { beforeEach, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { askHost } from "../../src/cli/remote/ssh.ts";
import { eventually, isRunning, until, useSandbox } from "../support/sandbox.ts";
import { makeStandInSsh, startJobOn } from "../support/standInSsh.ts";

// `--on`: other machines are state directories here, and ssh is a stand-in that runs the command in one of them.

const sandbox = useSandbox();

let env: Record<string, string>;

beforeEach(() => {
  env = makeStandInSsh(sandbox());
});

const startJob = (host: string, jobId: string) => startJobOn(sandbox(), host, jobId);

test("the jobs of several machines are one table, and machines that do not answer are named", async () => {
  await startJob("edge-1", "news");
  await startJob("edge-2", "sports");
  const on = (hosts: string, ...words: string[]) => sandbox().run([...words, "--on", hosts], { env });
  const { code, stdout, stderr } = await on("edge-1,down,edge-2,bare", "ps");
  expect(stdout.split("\n")[0]).toMatch(/^HOST +JOB +PID +USER/);
  expect(stdout).toMatch(/^edge-1 +news +\d+ /m);
  expect(stdout).toMatch(/^edge-2 +sports +\d+ .* sleep 1000$/m);
  expect(stderr).toContain("ffrtmp: down: ssh: connect to host down port 22: Connection refused");
  expect(stderr).toContain("ffrtmp: bare: ffrtmp is not installed there, or not in its PATH");
  expect(code).toBe(1);
  const json = await on("edge-1,edge-2", "ps", "--json");
  expect(json.code).toBe(0);
  expect(JSON.parse(json.stdout).map(({ host, job_id }: Record<string, string>) => [host, job_id])).toEqual([
    ["edge-1", "news"],
    ["edge-2", "sports"],
  ]);
  const stats = await on("edge-2,edge-1", "stats", "--json");
  const lines = stats.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ host, job_id }) => [host, job_id])).toEqual([
    ["edge-2", "sports"],
    ["edge-1", "news"],
  ]);
});

test("words reach the other machine as they are, and its refusals are its own", async () => {
  await startJob("edge-1", "news");
  const filtered = await sandbox().run(["ps", "--on=edge-1", "--json", "--filter", "command=*sleep 1000*"], {
    env,
  });
  expect(JSON.parse(filtered.stdout)).toMatchObject([{ host: "edge-1", job_id: "news" }]);
  const none = await sandbox().run(["ps", "--on", "edge-1", "--json", "--filter", "command=$(reboot)'\"*"], {
    env,
  });
  expect({ code: none.code, rows: JSON.parse(none.stdout) }).toEqual({ code: 0, rows: [] });
  const refused = await sandbox().run(["stats", "missing", "--on", "edge-1"], { env });
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toMatch(/^ffrtmp: edge-1: .*missing/);
});

test("a group of machines is named by @", async () => {
  mkdirSync(sandbox().path(".config/ffrtmp"), { recursive: true });
  writeFileSync(sandbox().path(".config/ffrtmp/hosts.yaml"), "edge: [edge-1, edge-2]\n");
  await startJob("edge-2", "sports");
  const { stdout } = await sandbox().run(["ps", "--on", "@edge", "--json"], { env });
  expect(JSON.parse(stdout)).toMatchObject([{ host: "edge-2", job_id: "sports" }]);
  const unknown = await sandbox().run(["ps", "--on", "@other"], { env });
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain("hosts.yaml has no group other");
});

test("the health of several machines is that of the worst", async () => {
  await startJob("edge-1", "news");
  const { code, stdout, stderr } = await sandbox().run(["health", "--on", "edge-1,down"], { env });
  expect(stdout).toMatch(/^edge-1: /);
  expect(stderr).toContain("ffrtmp: down: ");
  expect(code).toBe(3);
});

test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
  "%s ends the ssh of a machine that is silent, too",
  async (signal) => {
    const child = sandbox().start(["ps", "--on", "silent"], { env });
    const ssh = await eventually("its ssh is silent", () => {
      const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
      const isSilent = children && readFileSync(`/proc/${children}/comm`, "utf8").trim() === "sleep";
      return isSilent ? Number(children) : undefined;
    });
    child.kill(signal);
    expect(await child.exited).toBe(128 + { SIGTERM: 15, SIGINT: 2, SIGHUP: 1 }[signal]);
    await until("its ssh has ended", () => !isRunning(ssh));
  },
);

test("a machine that is silent holds up the others for a bounded time", async () => {
  const before = process.env["PATH"];
  process.env["PATH"] = env["PATH"];
  try {
    expect(await askHost("silent", ["ps"], { timeoutMs: 200 })).toEqual({
      host: "silent",
      failure: "no answer within 0.2 s",
    });
  } finally {
    process.env["PATH"] = before;
  }
});
