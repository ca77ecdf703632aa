import { afterEach, expect } from "bun:test";
import { appendFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { FFRTMP, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";

// `--on` with a real ssh, to this machine itself.

const INSTALLED = "/usr/local/bin/ffrtmp";
const KEYS = "/root/.ssh/authorized_keys";
const sandbox = useSandbox();
let keysBefore: string | undefined;

afterEach(() => {
  if (keysBefore !== undefined) writeFileSync(KEYS, keysBefore);
  rmSync(INSTALLED, { force: true });
});

vmTest("a job is listed by ssh, and a machine that does not answer holds up nothing", async () => {
  const ssh = `${sandbox().directory}/.ssh`;
  mkdirSync(ssh, { mode: 0o700 });
  const keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", `${ssh}/id_ed25519`];
  expect(await sandbox().spawn(keygen).exited).toBe(0);
  keysBefore = readFileSync(KEYS, "utf8");
  appendFileSync(KEYS, `\n${readFileSync(`${ssh}/id_ed25519.pub`, "utf8")}`);
  symlinkSync(FFRTMP, INSTALLED);
  // ssh takes the home directory from the user database, and so its configuration from there.
  const options = `-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i ${ssh}/id_ed25519`;
  const bin = sandbox().path("bin");
  mkdirSync(bin);
  writeFileSync(`${bin}/ssh`, `#!/bin/sh\nexec /usr/bin/ssh ${options} "$@"\n`, { mode: 0o755 });
  const { jobId } = await sandbox().startJob("remote", [], ["sleep", "1000"]);
  const words = ["ps", "--state-path", sandbox().state, "--json", "--on", "localhost,192.0.2.1"];
  const { stdout, stderr, code } = await sandbox().run(words, {
    env: { PATH: `${bin}:${process.env["PATH"]}` },
  });
  expect(JSON.parse(stdout)).toMatchObject([{ host: "localhost", job_id: jobId }]);
  expect(stderr).toContain("ffrtmp: 192.0.2.1: ");
  expect(code).toBe(1);
});
