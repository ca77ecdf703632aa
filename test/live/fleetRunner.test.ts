import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { createSigningKey } from "../../src/fleet/keys/signingKey.ts";
import type { NodeConfigFile } from "../../src/fleet/nodeConfig.ts";
import { findUser } from "../../src/linux/proc/userAccount.ts";
import { lacksRunner, RUN_AS, RunnerNode } from "../support/fleet/runnerNode.ts";
import { lacksCommand, testIf, until, useSandbox } from "../support/sandbox.ts";

// The runner with claims that the test writes in the agent's place: what starts, as whom, and how often.

const sandbox = useSandbox();

/** Waits until an attempt is started and has ended, and returns its result. */
async function resultOf(node: RunnerNode, job: string, attempt = 1) {
  await until(`attempt ${job}.${attempt} is started`, () => node.stateOf(job, attempt) === "started");
  return sandbox().resultOf(`${job}.${attempt}`);
}

testIf(lacksRunner() ?? lacksCommand("ffmpeg"))(
  "a claimed job runs ffmpeg as root has allowed it",
  async () => {
    const node = new RunnerNode(sandbox());
    node.allow();
    node.template("encode", {
      command: [
        ...[
          "ffmpeg",
          "-hide_banner",
          "-nostdin",
          "-f",
          "lavfi",
          "-i",
          "testsrc=duration=1:size={width}x36:rate=5",
        ],
        ...["-c:v", "mpeg4", "-metadata", "title={title}", "-y", "{output}"],
      ],
      params: {
        width: { type: "number", min: 16, max: 640, whole: true },
        title: { type: "text", pattern: "[^=]{1,100}" },
        output: { type: "path", under: node.out, suffix: [".mp4"], insert: ".{job}.{attempt}" },
      },
      limits: { cpu_quota: 150, memory_max: "512MiB" },
      sla_eligible: true,
    });
    const title = "$(id); `id` && \"'| *";
    node.claim({
      template: "encode",
      params: { width: 64, title, output: `${node.out}/a.mp4` },
      labels: { c: "7" },
    });
    node.startRunner();
    expect(await resultOf(node, "job-1", 1)).toMatchObject({ exit_code: 0, sla_eligible: true });
    expect(existsSync(`${node.out}/a.job-1.1.mp4`)).toBe(true);
    const found = await sandbox().json(["inspect", "job-1.1"]);
    expect(found).toMatchObject({
      uid: findUser(RUN_AS)?.uid,
      labels: { fleet_job: "job-1", fleet_attempt: "1", c: "7" },
      limits: [{ outcome: "applied" }, { outcome: "applied" }],
    });
    expect(found.command).toContain(`title=${title}`);
    await until("it is recorded as started", () => node.stateOf("job-1") === "started");
  },
);

testIf(lacksRunner())(
  "a job has its number, an environment without the runner's, and its own exit code",
  async () => {
    const node = new RunnerNode(sandbox());
    node.allow();
    node.template("env", { command: ["env"], env: { TZ: "UTC" } });
    node.claim({ id: "a", template: "env", params: {} });
    node.claim({ id: "b", params: { seconds: 0, code: 3 } }, { attempt: 2 });
    node.startRunner();
    expect(await resultOf(node, "b", 2)).toMatchObject({ exit_code: 3 });
    expect(node.listStarts()).toEqual(["b 2"]);
    await resultOf(node, "a", 1);
    const { stdout } = await sandbox().run(["logs", "a.1"]);
    const names = stdout
      .trim()
      .split("\n")
      .map((line) => line.split("=")[0]);
    expect(names.sort()).toEqual([
      ...["FFRTMP_ATTEMPT", "FFRTMP_JOB", "HOME", "LOGNAME", "PATH", "SHELL", "TZ", "USER"],
    ]);
  },
);

testIf(lacksRunner())(
  "claims that root has not allowed start nothing, whatever the agent writes",
  async () => {
    const node = new RunnerNode(sandbox());
    node.allow();
    const hostile = new RunnerNode(sandbox(), "other");
    // Signed by a key that root does not trust.
    const foreign = hostile.job({ id: "foreign" });
    hostile.claim(foreign);
    const stolen = hostile.claims.read({ job: "foreign", attempt: 1 });
    if (stolen !== undefined && "job" in stolen && "state" in stolen)
      node.claims.write({ job: "foreign", attempt: 1 }, stolen);
    node.claim({ id: "expired", not_after: "2020-01-01T00:00:00.000Z" });
    node.claim({ id: "outside", pool: "batch" });
    node.claim({ id: "escape", template: "../../../etc/passwd" as "x" });
    node.claim({ id: "many", params: { seconds: 0, code: 0, more: "x" } });
    node.claim({ id: "option", params: { seconds: "-1", code: 0 } });
    node.claim({ id: "missing", template: "missing", params: {} });
    node.template("missing", { command: ["no-such-program"] });
    // More than the kernel takes as one argument. It comes before `good`.
    const large = { type: "text", pattern: "x+" };
    node.template("large", { command: ["true", "{t}".repeat(200)], params: { t: large } });
    node.claim({ id: "a-large", template: "large", params: { t: "x".repeat(1024) } });
    node.claim({ id: "offered" }, { state: "offered" });
    symlinkSync("/etc/shadow", join(node.claims.directory, "link.1.json"));
    writeFileSync(join(node.claims.directory, "broken.1.json"), "{");
    node.claim({ id: "good" });
    node.startRunner();
    await resultOf(node, "good", 1);
    const refused = ["foreign", "expired", "outside", "escape", "many", "option", "missing", "a-large"];
    await until("all others are refused", () => refused.every((id) => node.stateOf(id) === "refused"));
    expect(node.stateOf("offered")).toBeUndefined();
    expect((await sandbox().json(["history"])).map(({ job_id }: { job_id: string }) => job_id)).toEqual([
      "good.1",
    ]);
    expect(node.listStarts()).toEqual(["good 1"]);
    // Root's decision is about all further ones too, also without a record of the runner.
    const { stderr } = await sandbox().run(["run", "--once", "--job-id", "expired.1", "--", "true"]);
    expect(stderr).toContain("ffrtmp fleet runner has refused this attempt");
  },
);

testIf(lacksRunner())(
  "runners that are killed at any time, and lose their records, start each attempt once",
  async () => {
    const node = new RunnerNode(sandbox());
    node.allow();
    const ids = Array.from({ length: 30 }, (_, index) => `job-${index}`);
    for (const [index, id] of ids.entries()) node.claim({ id, params: { seconds: 0, code: index % 3 } });
    let kills = 0;
    const isSettled = () => ids.every((id) => node.stateOf(id) === "started");
    while (!isSettled()) {
      const runner = node.startRunner();
      await Bun.sleep(20 + ((kills * 37) % 300) + 10 * kills);
      if (isSettled()) break;
      runner.kill("SIGKILL");
      await runner.exited;
      kills++;
      if (kills % 5 === 4) rmSync(node.records.directory, { recursive: true, force: true });
    }
    for (const [index, id] of ids.entries())
      expect(await resultOf(node, id)).toMatchObject({ exit_code: index % 3 });
    expect(node.listStarts().sort()).toEqual(ids.map((id) => `${id} 1`).sort());
    expect(kills).toBeGreaterThan(2);
  },
);

testIf(lacksRunner())("a second runner does not begin, and root's slots hold against the agent", async () => {
  const node = new RunnerNode(sandbox());
  node.allow({ slots: 2 });
  for (const id of ["a", "b", "c", "d"]) node.claim({ id, params: { seconds: 1000, code: 0 } });
  node.startRunner();
  await until("two jobs run", () => node.listStarts().length === 2);
  const second = await sandbox().run(["fleet", "runner", ...node.options]);
  expect([second.code, second.stderr]).toEqual([
    2,
    expect.stringContaining("another ffrtmp fleet runner uses"),
  ]);
  const running = await sandbox().json(["ps"]);
  expect(running).toHaveLength(2);
  process.kill(running[0].pid, "SIGKILL");
  await until("the next one starts", () => node.listStarts().length === 3);
  expect(await sandbox().json(["ps"])).toHaveLength(2);
});

testIf(lacksRunner())("root turns dispatch on and off; jobs that run, run on", async () => {
  const node = new RunnerNode(sandbox());
  const accept = (...words: string[]) =>
    sandbox().run(["fleet", "accept", "--accept", node.accept, ...words]);
  const keys = sandbox().path("ops.pub");
  writeFileSync(keys, `# operator\n${node.key.publicKey}\n`);
  const on = await accept(
    "--pool",
    "live",
    "--pool",
    "batch",
    "--as",
    RUN_AS,
    "--slots",
    "4",
    "--trust",
    keys,
  );
  expect([on.code, on.stdout]).toEqual([
    0,
    `${node.accept}: jobs of live, batch run here as ${RUN_AS}, up to 4 at once\n`,
  ]);
  expect(on.stderr).toContain("systemctl enable --now ffrtmp-fleet-runner");
  expect(readFileSync(node.accept, "utf8")).toContain(`- ${node.key.publicKey}`);
  node.claim({ id: "a", params: { seconds: 1000, code: 0 } });
  node.startRunner();
  await until("the job runs", () => node.listStarts().length === 1);
  expect((await accept("--off")).stdout).toContain("dispatch is off");
  expect(existsSync(node.accept)).toBe(false);
  node.claim({ id: "b" });
  await until("the next one is refused", () => node.stateOf("b") === "refused");
  expect(await sandbox().json(["ps"])).toMatchObject([{ job_id: "a.1", state: "running" }]);
  expect((await accept("--off")).stdout).toBe("dispatch is off, as it was\n");
});

testIf(lacksRunner()).each([
  [["--pool", "live"], "--pool, --as and --trust are needed"],
  [["--pool", "a.b", "--as", RUN_AS, "--trust", "KEY"], "expected 1 to 63 letters"],
  [
    ["--pool", "live", "--as", "root", "--trust", "KEY"],
    "no job of the fleet runs as root, which has uid 0 and all rights",
  ],
  [["--pool", "live", "--as", "no-such-user", "--trust", "KEY"], "there is no user no-such-user"],
  [["--pool", "live", "--as", RUN_AS, "--trust", "/none"], "--trust: /none is no public key"],
  [["--pool", "live", "--as", RUN_AS, "--trust", "SECRET"], "is no public key"],
  [["--pool", "live", "--as", RUN_AS, "--trust", "KEY", "--slots", "0"], "--slots"],
])("accept %j changes nothing", async (words, text) => {
  const { publicKey, seed } = createSigningKey();
  const path = sandbox().path("etc/accept.yaml");
  const values = words.map((word) => (word === "KEY" ? publicKey : word === "SECRET" ? seed : word));
  const { code, stderr } = await sandbox().run(["fleet", "accept", "--accept", path, ...values]);
  expect(code).not.toBe(0);
  expect(stderr).toContain(text);
  expect(existsSync(path)).toBe(false);
});

test("a template is checked, and shows the arguments that it would execute", async () => {
  const file = sandbox().path("hls.yaml");
  const out = sandbox().path("out");
  mkdirSync(out);
  writeFileSync(
    file,
    `command: [ffmpeg, -i, "{input}", "{output}"]\nparams:\n  input: {type: url, schemes: [https], hosts: ["*.media.example"]}\n` +
      `  output: {type: path, under: ${out}, suffix: [.mp4], insert: ".{job}.{attempt}"}\nlimits: {cpu_quota: 400}\n`,
    { mode: 0o644 },
  );
  const check = (...words: string[]) => sandbox().run(["fleet", "template", "check", file, ...words]);
  expect((await check()).stdout).toBe(
    `${file} is valid: parameters input (url), output (path); options --cpu-quota=400\n`,
  );
  const input = ["--param", "input=https://a.media.example/x.ts?a=b"];
  const shown = await check(...input, "--param", `output=${out}/x.mp4`, "--job", "j", "--attempt", "2");
  expect(shown).toMatchObject({
    code: 0,
    stdout: `ffmpeg\n-i\nhttps://a.media.example/x.ts?a=b\n${out}/x.j.2.mp4\n`,
  });
  const refused = await check(...input, "--param", "output=/etc/x.mp4");
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining(`is not below ${out}`)]);
  expect(JSON.parse((await check("--json", ...input, "--param", "output=/etc/x.mp4")).stdout)).toMatchObject({
    valid: true,
    argv: null,
    reason: expect.stringContaining("is not below"),
  });
  writeFileSync(file, "command: [sh, -c, x]\nlimit: {}\n");
  const faulty = await check();
  expect(faulty.code).toBe(2);
  expect(faulty.stderr).toContain('hls.yaml:1:11: command[0]: "sh" is a shell');
  expect(faulty.stderr).toContain("hls.yaml:2:1: limit: ");
});

testIf(lacksRunner())(
  "the runner reads the claims where the configuration has the agent's directory",
  async () => {
    const node = new RunnerNode(sandbox());
    node.allow();
    node.claim();
    const config = join(node.directory, "etc", "node.yaml");
    const file: NodeConfigFile = {
      v: 1,
      node: "edge-1",
      hub: ["nats://127.0.0.1:4222"],
      nkey_file: "node.nk",
    };
    writeFileSync(config, stringify({ ...file, state_dir: join(node.directory, "agent") }));
    const args = ["fleet", "runner", "--config", config, "--runner-state", join(node.directory, "runner")];
    const other = await sandbox().run([...args, "--agent-state", sandbox().path("other")]);
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining("is not the state_dir of")]);
    sandbox().start(args, { stdout: "ignore", stderr: "ignore" });
    await resultOf(node, "job-1");
    expect(node.listStarts()).toEqual(["job-1 1"]);
  },
);
