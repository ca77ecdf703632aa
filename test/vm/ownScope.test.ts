import { expect } from "bun:test";
import { resolve } from "node:path";
import { FFRTMP, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";

const sandbox = useSandbox();

const FAKE_MANAGER = resolve(import.meta.dir, "../support/programs/fakeManager.ts");
const SOCKETS = ["/run/systemd/private", "/run/dbus/system_bus_socket"];

/** Managers that start no scope, and the warning about each. The workload runs in every case. */
const MANAGERS: Record<string, { manner?: string; says: string }> = {
  "that is missing": { says: "ECONNREFUSED" },
  "that never answers": { manner: "silent", says: "did not answer within" },
  "that closes the connection": { manner: "closing", says: "systemd cannot be asked" },
  // It answers that the unit has no restrictions and that the scope is started.
  "that answers without starting the scope": { manner: "obliging", says: "moved nothing into" },
  "that knows the unit already": { manner: "knowing", says: "already loaded" },
};
for (const [kind, { manner, says }] of Object.entries(MANAGERS)) {
  vmTest(`with a manager ${kind} the job runs without its own scope`, async () => {
    const socket = manner === undefined ? "/dev/null" : await startManager(manner);
    // In mounts of its own, the job finds this manager where that of the machine is.
    const mounts = SOCKETS.map((path) => `mount --bind ${socket} ${path}`).join(" && ");
    const job = `exec "${FFRTMP}" run --job-id plain -- true`;
    const child = sandbox().spawn(["unshare", "--mount", "sh", "-c", `${mounts} && ${job}`]);
    const stderr = await new Response(child.stderr as ReadableStream).text();
    expect(await child.exited).toBe(0);
    expect(stderr).toContain("has no scope of its own");
    expect(stderr).toContain(says);
  });
}

async function startManager(manner: string): Promise<string> {
  const socket = sandbox().path("manager");
  const manager = sandbox().spawn([process.execPath, FAKE_MANAGER, socket, manner]);
  await (manager.stdout as ReadableStream).getReader().read();
  return socket;
}

vmTest("a start in a unit's scope runs no program but the workload", async () => {
  const traced = ["strace", "-f", "-e", "trace=execve", FFRTMP, "run", "--job-id", "alone", "--", "true"];
  const child = sandbox().spawn(traced);
  const stderr = await new Response(child.stderr as ReadableStream).text();
  expect(await child.exited).toBe(0);
  const executed = [...stderr.matchAll(/execve\("([^"]+)"/g)].map(([, path]) => path);
  expect(executed).toEqual([FFRTMP, expect.stringMatching(/\/true$/)]);
  expect(stderr).not.toContain("has no scope of its own");
});

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
