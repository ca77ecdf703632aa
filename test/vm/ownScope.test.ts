import { expect } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";

const sandbox = useSandbox();

/** Replacements of busctl, and the warning about each. The workload runs in every case. */
const BUSES: Record<string, { script: string; says: string }> = {
  "that is missing": {
    script: "echo 'Failed to connect to bus: No such file or directory' >&2; exit 1",
    says: "No such file",
  },
  "that never answers": { script: "exec sleep 1000", says: "did not answer within" },
  // It answers that the unit has no restrictions and that the scope is started.
  "that answers without starting the scope": {
    script: `case "$*" in
*get-property*) printf '%s\\n' 's "auto"' 'a(ss) 0' 'a(iayu) 0' 'a(iayu) 0' 'as 0' 'as 0' '(bas) false 0' 'a(iiqq) 0' 'a(iiqq) 0' 'a(ss) 0' ;;
*) echo 'o "/org/freedesktop/systemd1/job/1"' ;;
esac`,
    says: "moved nothing into",
  },
  "that knows the unit already": {
    script: "echo 'Call failed: Unit x.scope was already loaded' >&2; exit 1",
    says: "already loaded",
  },
};
for (const [kind, { script, says }] of Object.entries(BUSES)) {
  vmTest(`with a bus ${kind} the job runs without its own scope`, async () => {
    const directory = sandbox().path("bin");
    mkdirSync(directory);
    writeFileSync(`${directory}/busctl`, `#!/bin/sh\n${script}\n`);
    chmodSync(`${directory}/busctl`, 0o755);
    const env = { PATH: `${directory}:${process.env["PATH"]}` };
    const { code, stderr } = await sandbox().run(["run", "--job-id", "plain", "--", "true"], { env });
    expect(code).toBe(0);
    expect(stderr).toContain("has no scope of its own");
    expect(stderr).toContain(says);
  });
}

vmTest("systemd accepts the unit name of the longest job id", async () => {
  const jobId = `${"a.b-c_".repeat(21)}9Z`;
  const { stdout, stderr } = await sandbox().run([
    "run",
    "--job-id",
    jobId,
    "--",
    "cat",
    "/proc/self/cgroup",
  ]);
  expect(stderr).not.toContain("no scope");
  expect(stdout).toContain(`-${jobId}.scope/`);
});
