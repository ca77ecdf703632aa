import { expect, test } from "bun:test";
import { openSync, readFileSync } from "node:fs";
import { PolicyBox } from "../support/policyBox.ts";
import { lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

test("run and attach record a tenant and labels with the job and its result", async () => {
  const flags = ["--tenant", "acme/eu", "--label", "channel=7", "--label", "url=a=b", "--label", "channel=8"];
  await sandbox().run(["run", "--job-id", "ran", ...flags, "--", "true"]);
  const expected = { tenant: "acme/eu", labels: { channel: "8", url: "a=b" } };
  expect((await sandbox().json(["inspect", "ran"])).result).toMatchObject(expected);
  const { pid } = sandbox().spawn(["sleep", "600"]);
  const observer = sandbox().start(["attach", "--pid", `${pid}`, "--job-id", "attached", ...flags]);
  await sandbox().pidOf("attached");
  process.kill(pid, "SIGKILL");
  await observer.exited;
  expect((await sandbox().json(["inspect", "attached"])).result).toMatchObject(expected);
});

test("a tenant and labels that a policy would refuse are refused", async () => {
  const cases: [string[], string][] = [
    [["--tenant", ""], "It is not the name of a tenant: it is empty"],
    [["--tenant", "a\nb"], "It is not the name of a tenant: it contains a control character"],
    [["--label", "channel"], "It has no =. Expected: a name, = and a value"],
    [["--label", "=7"], "It is empty. Expected: a name that is text of 1 to 128 characters"],
    [["--label", "channel="], "It is empty. Expected: a value that is text of 1 to 128 characters"],
    [["--label", `c=${"x".repeat(129)}`], "It has 129 characters. Expected: a value"],
  ];
  for (const [flags, message] of cases) {
    for (const [command, code] of [
      [["run", ...flags, "--", "true"], 125],
      [["attach", "--pid", "1", ...flags], 2],
    ] as const) {
      const ended = await sandbox().run([...command]);
      expect({ command, code: ended.code }).toEqual({ command, code });
      expect(ended.stderr).toContain(message);
    }
  }
});

limitsTest("limits set leaves a job of run where it is, although it has a tenant", async () => {
  const { jobId } = await sandbox().startJob("still", ["--tenant", "acme"], ["sleep", "600"]);
  const before = await sandbox().cgroupOf(jobId, "pids");
  await sandbox().run(["limits", "set", jobId, "--cpu-quota", "50", "--pids-max", "20"]);
  expect(await sandbox().cgroupOf(jobId, "pids")).toBe(before);
});

limitsTest("attach puts a job under the total of its tenant; run says that it does not", async () => {
  const policy = new PolicyBox(sandbox());
  const shell = policy.shell("worker");
  policy.write(
    `rules:\n  - name: acme\n    match: {command: worker-${sandbox().tag}}\n    tenant: acme\n` +
      "tenants:\n  acme: {cpu_quota: 100}\n",
  );
  await policy.start();
  const governed = await policy.run(shell);
  await until("the policy governs the worker", async () =>
    (await sandbox().json(["ps"])).some(({ pid }: { pid: number }) => pid === governed),
  );
  const output = sandbox().path("stderr");
  await sandbox().startJob("ran", ["--tenant", "acme"], ["sleep", "600"], { stderr: openSync(output, "w") });
  await until("run has warned", () => readFileSync(output, "utf8") !== "");
  expect(readFileSync(output, "utf8")).toBe(
    "ffrtmp: the total of tenant acme (cpu.max) does not include job ran: it is for jobs that the policy governs\n",
  );
  const { pid } = sandbox().spawn(["sleep", "600"]);
  const attached = sandbox().path("attached");
  sandbox().start(["attach", "--pid", `${pid}`, "--job-id", "attached", "--tenant", "acme"], {
    stderr: openSync(attached, "w"),
  });
  await sandbox().pidOf("attached");
  expect(await sandbox().cgroupOf("attached", "cpu")).toContain("@acme/");
  expect(readFileSync(attached, "utf8")).not.toContain("does not include");
});
