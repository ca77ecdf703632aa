import { expect, test } from "bun:test";
import { chmodSync, chownSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describeProgram } from "../../src/cli/program.ts";
import { Keys, leakIn, PLANTED, secretArguments } from "../support/plantedKeys.ts";
import { PolicyBox } from "../support/policyBox.ts";
import { freePort } from "../support/ports.ts";
import {
  eventually,
  FFRTMP,
  lacksCommand,
  lacksLimits,
  readProc,
  type Sandbox,
  type SpawnOptions,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";
import { asStranger, STRANGER } from "../support/strangers.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits() ?? lacksCommand("perl") ?? lacksCommand("setpriv"));

async function expectMasked(
  box: Sandbox,
  args: string[],
  options: SpawnOptions = {},
): Promise<{ code: number; output: string }> {
  const { code, stdout, stderr } = await box.run(args, options);
  const output = stdout + stderr;
  expect({ args: args.map((arg) => arg.replace(PLANTED, "…")), leak: leakIn(output) }).toMatchObject({
    leak: undefined,
  });
  return { code, output };
}

/** The commands that read jobs or the daemon, each with its arguments for one job. */
const READERS: Record<string, (jobId: string) => string[]> = {
  ps: () => [],
  history: () => [],
  inspect: (jobId) => [jobId],
  logs: (jobId) => [jobId],
  stats: () => ["--once"],
  events: () => [],
  health: () => [],
  top: () => ["--once"],
  capacity: (jobId) => ["--like", jobId],
};
/** Those of them that print no JSON. */
const WITHOUT_JSON = ["logs", "top"];
/** The others, which tests of this file try one by one. */
const WRITERS = ["run", "exec", "attach", "detach", "watch", "limits", "prune", "policy", "doctor", "wait"];

/** What it sends is in test/live/fleetResults.test.ts, where the hub is. */
const AT_A_HUB = "fleet";

const COMMANDS = describeProgram().commands.map((command) => command.name());

test("exec repeats no secret of a command that it cannot run", async () => {
  const command = ["/nowhere/ffmpeg", ...secretArguments(new Keys())];
  const { code } = await expectMasked(sandbox(), ["exec", "--", ...command]);
  expect(code).toBe(127);
});

test("this file tries every command", () => {
  const tried = [...Object.keys(READERS), ...WRITERS, AT_A_HUB];
  expect(COMMANDS.filter((name) => !tried.includes(name))).toEqual([]);
});

/** Expects that each command that can show a job shows it without a key. */
async function expectJobMasked(box: Sandbox, jobId: string): Promise<void> {
  for (const name of COMMANDS.filter((each) => READERS[each] !== undefined)) {
    const args = [name, ...(READERS[name]?.(jobId) ?? [])];
    await expectMasked(box, args);
    if (!WITHOUT_JSON.includes(name)) await expectMasked(box, [...args, "--json"]);
  }
  const { output } = await expectMasked(box, ["inspect", jobId]);
  expect(output).toMatch(/^command .*rtmp:\/\/live\.example\.com\/app\/\*\*\*$/m);
  expect(output).toMatch(/^secrets +masked/m);
  expect(await box.json(["inspect", jobId])).toMatchObject({ command_masked: true });
}

/** Expects that root sees the true command when it asks for it. */
async function expectTrueCommand(box: Sandbox, jobId: string, argv: string[]): Promise<void> {
  const { stdout, code } = await box.run(["inspect", jobId, "--show-secrets"]);
  expect(code).toBe(0);
  expect(stdout).toContain(argv.at(-1) as string);
  const shown = await box.json(["inspect", jobId, "--show-secrets"]);
  expect(shown.command.slice(-argv.length)).toEqual(argv);
  expect(shown).toMatchObject({ command_masked: false });
  const result = shown.result ?? { command: shown.command, command_masked: false };
  expect(result).toMatchObject({ command: shown.command, command_masked: false });
}

/** No name of a file in the state directory or of a cgroup may contain a key. */
function expectNoNames(box: Sandbox): void {
  const names = existsSync(box.state) ? readdirSync(box.state, { recursive: true }).map(String) : [];
  expect([...names, ...box.cgroups()].filter((name) => PLANTED.test(name))).toEqual([]);
}

test("run and run -d show no secret of their command, in no output and no log", async () => {
  const keys = new Keys();
  const argv = secretArguments(keys);
  const env = { UPLOAD_TOKEN: keys.next(), STREAM_URL: `rtmp://live.example.com/app/${keys.next()}` };
  const resultFile = sandbox().path("result.json");
  const start = (jobId: string, ...flags: string[]) => ["run", "--job-id", jobId, ...flags, "--", "sh", "-c"];
  await expectMasked(sandbox(), [...start("plain", "--result-file", resultFile), "exit 3", ...argv], { env });
  const written = readFileSync(resultFile, "utf8");
  expect(written).toContain("rtmp://live.example.com/app/***");
  expect(leakIn(written)).toBeUndefined();
  await expectMasked(sandbox(), [...start("json", "--json"), "exit 3", ...argv]);
  await expectMasked(sandbox(), [...start("bg", "-d"), "exit 3", ...argv]);
  await expectMasked(sandbox(), [...start("bgjson", "-d", "--json"), "exit 3", ...argv]);
  for (const jobId of ["plain", "json", "bg", "bgjson"]) {
    await sandbox().resultOf(jobId);
    await expectJobMasked(sandbox(), jobId);
    await expectTrueCommand(sandbox(), jobId, argv);
    if (COMMANDS.includes("wait")) await expectMasked(sandbox(), ["wait", jobId, "--json"]);
  }
  const log = () => readFileSync(join(sandbox().state, "ffrtmp.log"), "utf8");
  await until("both jobs are in the log", () => /JOB bg /.test(log()) && log().includes('"job_id":"bgjson"'));
  expect(leakIn(log())).toBeUndefined();
  expectNoNames(sandbox());
});

test("refusals, and faults in the command line, repeat no secret", async () => {
  const keys = new Keys();
  const url = () => `rtmp://live.example.com/app/${keys.next()}`;
  for (const [args, code] of [
    // A command that was forgotten, so that its first argument is taken for it.
    [["run", "--", url()], 127],
    [["run", "-d", "--", url()], 127],
    [["run", "--", "/etc/passwd", url()], 126],
    [["run", "--cpu-quota", url(), "--", "true"], 125],
    [["run", "--job-id", url(), "--", "true"], 125],
    [["run", "--workdir", url(), "--", "true"], 125],
    [["run", `--token=${keys.next()}`, "--", "true"], 125],
    [["attach", "--pid", url()], 2],
    [["inspect", url()], 2],
    [["logs", url()], 2],
    [["detach", url()], 2],
    [["limits", "set", url(), "--cpu-quota", "50"], 2],
    [["watch", "--watch-config", url()], 2],
    [["watch", "--target", url()], 2],
    [["ps", url()], 2],
    [[url()], 2],
  ] satisfies [string[], number][]) {
    expect(await expectMasked(sandbox(), args)).toMatchObject({ code });
  }
  expect(leakIn(readFileSync(join(sandbox().state, "ffrtmp.log"), "utf8"))).toBeUndefined();
  expectNoNames(sandbox());
});

limitsTest("attach shows no secret of a process, nor of the title that it gave itself", async () => {
  const keys = new Keys();
  const argv = secretArguments(keys);
  const script = `$0 = "worker rtmp://live.example.com/app/${keys.next()}"; sleep 600`;
  const titled = sandbox().spawn(["perl", "-e", script], { stdout: "ignore", stderr: "ignore" });
  const plain = sandbox().spawn(["perl", "-e", "sleep 600", "--", ...argv], {
    stdout: "ignore",
    stderr: "ignore",
  });
  await until("it has its title", () => readProc(titled.pid, "cmdline").startsWith("worker"));
  for (const [{ pid }, flags] of [
    [titled, []],
    [plain, ["--json"]],
  ] as const) {
    const jobId = `job-${pid}`;
    const attached = sandbox().start(["attach", "--pid", `${pid}`, "--job-id", jobId, ...flags]);
    expect(await sandbox().pidOf(jobId)).toBe(pid);
    await expectJobMasked(sandbox(), jobId);
    await expectMasked(sandbox(), ["limits", "set", jobId, "--cpu-quota", "50", "--json"]);
    await expectMasked(sandbox(), ["limits", "reset", jobId, "--json"]);
    if (pid === plain.pid) await expectTrueCommand(sandbox(), jobId, argv);
    process.kill(pid, "SIGKILL");
    const [stdout, stderr] = await Promise.all(
      [attached.stdout, attached.stderr].map((stream) => new Response(stream as ReadableStream).text()),
    );
    expect(leakIn(`${stdout}${stderr}`)).toBeUndefined();
    expect(`${stdout}${stderr}`).toContain(jobId);
  }
  expectNoNames(sandbox());
});

limitsTest("watch, its dry run and policy explain compare the true text and show none of it", async () => {
  const keys = new Keys();
  const argv = secretArguments(keys);
  const box = new PolicyBox(sandbox());
  const { name, path } = sandbox().program("perl");
  const titled = `titled-${sandbox().tag}`;
  const marker = keys.next();
  const variable = keys.next();
  box.write(`
target_commands: ["${name}"]
rules:
  - name: other-arguments
    match: {argv: "*no such argument*"}
  - name: other-variable
    match: {env: {UPLOAD_TOKEN: "no such value"}}
  - name: other-directory
    match: {command: "*", cwd: "/no/such/directory"}
  - name: other-command
    match: {command: "no-such-command"}
  - name: by-title
    match: {command: "*${titled}*"}
  - name: by-secret
    match: {argv: "*rtmp://live.example.com/app/${marker}*", env: {UPLOAD_TOKEN: "*Planted9x"}}
filters:
  min_runtime: 0s
`);
  const output = { stdout: "ignore", stderr: "ignore" } as const;
  const env = { UPLOAD_TOKEN: variable };
  const secret = `rtmp://live.example.com/app/${marker}`;
  const plain = sandbox().spawn([path, "-e", "sleep 600", "--", secret, ...argv], { ...output, env });
  const script = `$0 = "${titled} --token=${keys.next()}"; sleep 600`;
  const other = sandbox().spawn(["perl", "-e", script], { ...output, env });
  const url = `$0 = "worker rtmp://live.example.com/app/${keys.next()}"; sleep 600`;
  const third = sandbox().spawn(["perl", "-e", url], { ...output, env });
  for (const { pid } of [other, third])
    await until("it has its title", () => !readProc(pid, "cmdline").startsWith("perl"));
  await until("the program runs", () => readProc(plain.pid, "comm").startsWith("perl-"));

  const config = ["--watch-config", box.file];
  const dryRun = await expectMasked(sandbox(), ["watch", "--dry-run", ...config]);
  expect(dryRun.output).toContain(`would govern PID ${plain.pid} (${name}) by rule by-secret`);
  for (const pid of [plain.pid, other.pid, third.pid]) {
    for (const args of [["--pid", `${pid}`], ["--all"]]) {
      await expectMasked(sandbox(), ["policy", "explain", ...args, ...config]);
      await expectMasked(sandbox(), ["policy", "explain", ...args, ...config, "--json"]);
    }
  }
  const explained = await sandbox().json(["policy", "explain", "--pid", `${plain.pid}`, ...config]);
  expect(explained).toMatchObject({ govern: true, decision: { rule: "by-secret" } });
  expect(explained.facts).toMatchObject({ argv_masked: true });
  expect(explained.facts.argv).toContain("rtmp://live.example.com/app/***");
  expect(explained.steps).toContainEqual(
    expect.objectContaining({
      subject: "other-variable",
      failed: { key: "match.env.UPLOAD_TOKEN", wanted: "no such value", found: "***" },
    }),
  );

  const address = `127.0.0.1:${freePort()}`;
  const daemon = await box.start("--scan-interval", "100ms", "--listen", address);
  for (const { pid } of [plain, other]) await box.governed(pid);
  const metrics = await eventually("both jobs are measured", async () => {
    const response = await fetch(`http://${address}/metrics`).catch(() => undefined);
    const text = (await response?.text()) ?? "";
    return [...text.matchAll(/^ffrtmp_job_info\{/gm)].length === 2 ? text : undefined;
  });
  expect(leakIn(metrics)).toBeUndefined();
  const jobs: { job_id: string; pid: number }[] = await sandbox().json(["ps"]);
  expect(jobs.map(({ pid }) => pid).toSorted()).toEqual([plain.pid, other.pid].toSorted());
  for (const args of [["ps"], ["ps", "--daemon"], ["doctor"], ["prune", "--dry-run"]]) {
    await expectMasked(sandbox(), args);
    await expectMasked(sandbox(), [...args, "--json"]);
  }
  for (const { job_id: jobId } of jobs) {
    await expectMasked(sandbox(), ["inspect", jobId]);
    await expectMasked(sandbox(), ["inspect", jobId, "--json"]);
  }
  const [{ job_id: jobId } = { job_id: "" }] = jobs.filter(({ pid }) => pid === plain.pid);
  await expectJobMasked(sandbox(), jobId);
  await expectTrueCommand(sandbox(), jobId, argv);
  process.kill(other.pid, "SIGKILL");
  await expectMasked(sandbox(), ["detach", jobId]);
  await until("the jobs have ended", async () => (await sandbox().json(["ps"])).length === 0);
  for (const args of [["history"], ["history", "--json"]]) await expectMasked(sandbox(), args);
  daemon.kill();
  await daemon.exited;
  expect(leakIn(box.log())).toBeUndefined();
  expect(box.log()).toContain(`Attaching to PID ${plain.pid} (${name}) as job ${jobId}`);
  expectNoNames(sandbox());
});

limitsTest("inspect --show-secrets is for root and for the job's user", async () => {
  const key = new Keys().next();
  const url = `rtmp://live.example.com/app/${key}`;
  const { state, directory } = sandbox();
  const command = ["perl", "-e", "sleep 600", "--", url];
  const output = { stdout: "ignore", stderr: "ignore" } as const;
  const own = sandbox().spawn(asStranger(command), output);
  await until("the other user's program runs", () => readProc(own.pid, "comm") === "perl\n");
  sandbox().start(["attach", "--pid", `${own.pid}`, "--job-id", "theirs"], output);
  await sandbox().startJob("roots", [], command);
  await sandbox().pidOf("theirs");
  // A group that may read the state, as the group ffrtmp does.
  for (const name of ["", ...readdirSync(state)]) chownSync(join(state, name), 0, STRANGER);
  chmodSync(state, 0o2750);
  chmodSync(directory, 0o755);
  const reader = (uid: number, args: string[]) =>
    sandbox().spawn(["setpriv", `--reuid=${uid}`, `--regid=${STRANGER}`, "--clear-groups", FFRTMP, ...args]);
  const ask = async (uid: number, jobId: string, ...flags: string[]) => {
    const child = reader(uid, ["inspect", jobId, ...flags]);
    const [stdout = "", stderr = ""] = await Promise.all(
      [child.stdout, child.stderr].map((stream) => new Response(stream as ReadableStream).text()),
    );
    return { code: await child.exited, stdout, stderr };
  };
  for (const flags of [[], ["--json"]]) {
    expect(await ask(STRANGER, "theirs", "--show-secrets", ...flags)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(url),
    });
    for (const [uid, jobId, owner] of [
      [STRANGER, "roots", "root"],
      [STRANGER - 1, "theirs", `root and uid ${STRANGER}`],
    ] as const) {
      const refused = await ask(uid, jobId, "--show-secrets", ...flags);
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toContain(
        `ffrtmp: only ${owner} may see the secrets of job ${jobId}, and this is uid ${uid}`,
      );
      expect(leakIn(refused.stderr)).toBeUndefined();
      const masked = await ask(uid, jobId, ...flags);
      expect(masked.code).toBe(0);
      expect(leakIn(masked.stdout + masked.stderr)).toBeUndefined();
    }
  }
});
