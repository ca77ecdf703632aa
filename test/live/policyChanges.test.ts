import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { isGoverned, PolicyBox } from "../support/policyBox.ts";
import { lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

limitsTest("a reload logs what has changed, and inspect names the rule that chose the process", async () => {
  const box = new PolicyBox(sandbox());
  const [encoder, other] = [box.shell("enc"), box.shell("other")];
  const policy = (rule: string, quota: number, comment = "") => `
target_commands: [${basename(other)}]
rules:
  - {name: ${rule}, match: {command: ${basename(encoder)}}, limits: {cpu_quota: ${quota}}} ${comment}
`;
  const reloaded = (change: string) => `Policy ${box.file} reloaded: ${change}\n`;
  box.write(policy("transcode", 60));
  await box.start();
  const pid = await box.run(encoder);
  const target = await box.run(other);
  await box.governed(pid);
  await box.governed(target);
  expect(await box.jobOf(pid)).toMatchObject({ decided_by: "rule", rule: "transcode" });
  const { job_id: jobId, ...ofTarget } = await box.jobOf(target);
  expect(ofTarget).toMatchObject({ decided_by: "target_commands", rule: null });
  expect((await sandbox().run(["inspect", jobId])).stdout).toMatch(/^decided by +target_commands$/m);

  box.write(policy("transcode", 50));
  await until("the change is logged", () =>
    box.log().includes(reloaded("rule transcode: cpu_quota 60 → 50")),
  );
  box.write(policy("transcode", 50, "# the same"));
  await until("there is no change", () => box.log().includes(reloaded("no change")));
  expect(box.log().match(/ reloaded: /g)).toHaveLength(2);

  // Another rule that asks for the same.
  box.write(policy("live", 50));
  const recorded = async () => (await box.jobOf(pid)).rule === "live";
  await until("the job is of the other rule", recorded);
  expect(box.log()).toContain(reloaded("rule transcode: removed"));
  expect(box.log()).toContain(reloaded("rule live: added"));
  await until("the log names the rule", () =>
    box.log().includes("has the same limits and labels from the policy (rule live)"),
  );
  const quota = await box.jobOf(pid);
  expect((await sandbox().run(["inspect", quota.job_id])).stdout).toMatch(/^decided by +rule live$/m);
  expect(quota.limits).toMatchObject([{ limit: "cpu.max", outcome: "applied", actual: "50000 100000" }]);
});

limitsTest("a job that no policy chose has no rule", async () => {
  const { jobId } = await sandbox().startJob("own", [], ["sleep", "600"]);
  expect(await sandbox().json(["inspect", jobId])).toMatchObject({ decided_by: null, rule: null });
  expect((await sandbox().run(["inspect", jobId])).stdout).not.toContain("decided by");
});

limitsTest("likely mistakes in a policy are logged, and the daemon governs by it", async () => {
  const box = new PolicyBox(sandbox());
  const shell = box.shell("enc");
  box.write(`
rules:
  - {name: mine, match: {command: ${basename(shell)}}, limits: {cpu_quota: 1.5, cpus: 0-0, io_max: /nowhere rbps=1M}}
  - {name: dead, match: {command: ${basename(shell)}, user: no-such-user}}
`);
  const pid = await box.run(shell);
  await box.start();
  await box.governed(pid);
  for (const warning of [
    /Policy warning: \S+policy\.yaml:3:\d+: rules\[0\]\.limits\.cpu_quota: "1\.5" is 1\.5 % of one core; perhaps: 150 for 1\.5/,
    /Policy warning: .*: rules\[0\]\.limits\.io_max: .* will be refused on this machine: \/nowhere does not exist/,
    /Policy warning: .*: rules\[1\]\.match\.user: "no-such-user" is not a user in \/etc\/passwd/,
    /Policy warning: .*: rules\[1\]\.name: "dead" never decides: rule mine matches every process/,
  ])
    expect(box.log()).toMatch(warning);
  expect((await box.jobOf(pid)).limits).toMatchObject([
    { limit: "cpu.max", outcome: "applied", actual: "1500 100000" },
    { limit: "io.max", outcome: "refused", because: expect.stringMatching(/^\/nowhere does not exist/) },
    { limit: "cpuset.cpus", outcome: "applied" },
  ]);
  const check = await sandbox().run(["policy", "check", box.file]);
  expect(check.code).toBe(0);
  expect(check.stdout).toBe(`${box.file} is valid: 2 rules, 0 tenants, 4 warnings\n`);
  const { valid, warnings, faults } = await sandbox().json(["policy", "check", box.file]);
  expect([valid, warnings.length, faults]).toEqual([true, 4, []]);
  expect((await sandbox().run(["policy", "check", "--strict", box.file])).code).toBe(2);
});

limitsTest("policy explain names the job of a process, and what this policy would do with it", async () => {
  const box = new PolicyBox(sandbox());
  const shell = box.shell("enc");
  const rule = `rules: [{name: mine, match: {command: ${basename(shell)}, cgroup: /}, limits: {nice: 7}}]\n`;
  box.write(rule);
  const pid = await box.run(shell);
  const explain = async (...flags: string[]) =>
    (await sandbox().run(["policy", "explain", "--file", box.file, "--pid", String(pid), ...flags])).stdout;
  expect(await explain()).toMatch(new RegExp(`^would +set nice of PID ${pid} from 0 to 7$`, "m"));
  const [planned] = await sandbox().json(["watch", "--dry-run", "--watch-config", box.file]);
  expect(planned).toMatchObject({ pid, decision: { rule: "mine" } });
  expect(planned.would.attributes).toContainEqual({ limit: "nice", pid, tid: pid, from: 0, to: 7 });
  expect(isGoverned(pid)).toBeFalse();
  await box.start();
  await box.governed(pid);
  const { job_id: jobId } = await box.jobOf(pid);
  const { state } = sandbox();
  expect(await explain()).toContain(`verdict      already governed as ${jobId} (state directory ${state})`);
  expect(await explain()).toMatch(/^this policy +keeps it, by rule mine$/m);
  expect(JSON.parse(await explain("--json"))).toMatchObject({
    govern: false,
    because: `it is governed already, as job ${jobId}`,
    governed_as: { job_id: jobId, state_directory: state },
  });
  expect((await sandbox().run(["policy", "explain", "--file", box.file, "--all"])).stdout).toMatch(
    new RegExp(`^ *${pid} .* already governed as ${jobId}$`, "m"),
  );
  // Not in the file of the daemon, which would release the job.
  const ignoring = sandbox().path("ignoring.yaml");
  writeFileSync(ignoring, `${rule.slice(0, -2).replace("limits: {nice: 7}", "ignore: true")}]\n`);
  const elsewhere = ["policy", "explain", "--file", ignoring, "--pid", String(pid)];
  const other = await sandbox().run([...elsewhere, "--state-path", sandbox().path("other")]);
  expect(other.stdout).toContain(`already governed as ${jobId} (state directory ${state})`);
});

limitsTest("policy explain folds threads, and leaves kernel threads out of --all", async () => {
  const box = new PolicyBox(sandbox());
  box.write("target_commands: [ffmpeg]\nrules: [{name: all, match: {command: '*'}, limits: {nice: 9}}]\n");
  // The runtime of this test has threads.
  const child = sandbox().spawn([process.execPath, "-e", "setInterval(() => {}, 1000); console.log('up')"]);
  const lines = (child.stdout as ReadableStream<Uint8Array>).getReader();
  await lines.read();
  const explain = ["policy", "explain", "--file", box.file];
  const one = await sandbox().run([...explain, "--pid", String(child.pid)]);
  expect(one.stdout).toMatch(
    new RegExp(`^would +set nice of PID ${child.pid}, \\d+ threads, from 0 to 9$`, "m"),
  );
  expect(one.stdout.match(/set nice of PID/g)).toHaveLength(1);
  const { stdout, stderr } = await sandbox().run([...explain, "--all"]);
  expect(stdout).not.toMatch(/ kthreadd /);
  expect(
    stderr === "" || /^\d+ kernel threads are left out: they are never governed\n$/.test(stderr),
  ).toBeTrue();
});
