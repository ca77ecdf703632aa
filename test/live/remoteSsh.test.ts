import { expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { OnTerminal } from "../support/onTerminal.ts";
import { FFRTMP, isRunning, testIf, until, useSandbox } from "../support/sandbox.ts";
import { lacksSshServer, SshServer } from "../support/sshServer.ts";
import { startJobOn } from "../support/standInSsh.ts";

// `--on` over the real ssh and a real server. What machines can do wrong is in remote.test.ts and topOnHosts.test.ts.

const sandbox = useSandbox();
const live = testIf(lacksSshServer());

live("ps has the jobs of several machines, and a machine that ssh does not trust is named", async () => {
  const { environment: env } = await SshServer.start(sandbox());
  await startJobOn(sandbox(), "edge-1", "news");
  await startJobOn(sandbox(), "edge-2", "sports");
  const { code, stdout, stderr } = await sandbox().run(["ps", "--on", "edge-1,stranger,edge-2"], { env });
  expect(stdout).toMatch(/^edge-1 +news +\d+ /m);
  expect(stdout).toMatch(/^edge-2 +sports +\d+ .* sleep 1000$/m);
  expect(stderr).toMatch(/^ffrtmp: stranger: Host key verification failed/m);
  expect(code).toBe(1);
  // The words pass two shells, here and there.
  const filter = ["--filter", "command=*sleep 1000*", "--json"];
  const filtered = await sandbox().run(["ps", "--on", "edge-1,edge-2", ...filter], { env });
  expect(JSON.parse(filtered.stdout)).toMatchObject([{ host: "edge-1" }, { host: "edge-2" }]);
});

live("top follows several machines, and nothing of it is left on them", async () => {
  const { environment: env } = await SshServer.start(sandbox());
  await startJobOn(sandbox(), "edge-1", "news", "--cpu-quota", "50");
  await startJobOn(sandbox(), "edge-2", "sports");
  const command = [FFRTMP, "top", "--interval", "100ms", "--on", "edge-1,silent,edge-2"];
  const top = new OnTerminal(sandbox(), command, env);
  await top.shows(/[>● ○]+ edge-1 +news .*0\.\d\d\/0\.50/);
  await top.shows(/[>● ○]+ edge-2 +sports /);
  await top.shows(/\nsilent +▲ no answer for \d+ s\n/);
  // The job itself is not one of them: another ffrtmp has started it.
  const words = [`FFRTMP_STATE=${sandbox().path("machines/edge-1")}`, "SSH_CONNECTION="];
  adoptSilent();
  top.type("q");
  expect(await top.process.exited).toBe(0);
  await until(
    "no command of the screen runs on a machine",
    () => processesWith("environ", ...words).length === 0,
  );
});

live("a command that is ended leaves no ssh to a machine that is silent", async () => {
  const { environment: env } = await SshServer.start(sandbox());
  const child = sandbox().start(["ps", "--on", "silent"], { env });
  await until("the machine has begun to be silent", () => adoptSilent() > 0);
  const [ssh = 0] = processesWith("cmdline", sandbox().path("ssh/ssh_config"));
  child.kill("SIGTERM");
  expect(await child.exited).toBe(143);
  await until("its ssh has ended", () => !isRunning(ssh));
});

/** Lets the sandbox end what a silent machine runs: it cannot notice that its reader is gone. Returns how many these are. */
function adoptSilent(): number {
  const found = processesWith("environ", `FFRTMP_STATE=${sandbox().path("machines/silent")}`);
  for (const pid of found) sandbox().adopt(pid);
  return found.length;
}

/** Returns the processes whose command line or environment has all texts. */
function processesWith(file: "cmdline" | "environ", ...texts: string[]): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const found = readFileSync(`/proc/${name}/${file}`, "utf8");
        return texts.every((text) => found.includes(text));
      } catch {
        // It has ended meanwhile.
        return false;
      }
    })
    .map(Number);
}
