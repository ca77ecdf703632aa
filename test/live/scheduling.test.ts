import { afterEach, expect } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";
import { lacksRealtime, OTHER, RR, readPolicy, readThreads } from "../support/scheduling.ts";
import { startDaemon, type WatchDaemon } from "../support/watchDaemon.ts";

const sandbox = useSandbox();
const realtimeTest = testIf(lacksLimits() ?? lacksRealtime());

let daemon: WatchDaemon | undefined;
afterEach(async () => {
  daemon?.process.kill("SIGTERM");
  await daemon?.process.exited;
  daemon = undefined;
});

const threadsOf = ({ process: { pid } }: WatchDaemon) => readThreads(pid);

realtimeTest("watch has real-time scheduling; its workloads and its hooks have none", async () => {
  const box = sandbox();
  // A name that no other process has, in the 15 characters of comm.
  const name = `rt-${box.tag}`;
  const script = box.path("hook");
  const seen = box.path("seen");
  writeFileSync(script, `#!/bin/sh\ncat /proc/self/stat > ${seen}.new\nmv ${seen}.new ${seen}\n`);
  chmodSync(script, 0o755);
  const policy = box.path("policy.yaml");
  writeFileSync(policy, `target_commands: [${name}]\non_end: ${script}\n`, {
    mode: 0o644,
  });
  daemon = await startDaemon(box, ["--watch-config", policy, "--cpu-quota", "150"]);
  const { pid } = daemon.process;
  await until("the main thread waits for events", () => readPolicy(pid) === RR);
  expect(threadsOf(daemon).find(({ comm }) => comm === "ffrtmp events")?.policy).toBe(RR);

  const workload = box.spawn(["bash", "-c", `exec -a ${name} sleep 600`]);
  await until("the process is governed", async () => (await box.json(["ps"])).length === 1);
  expect(readThreads(workload.pid)).toEqual([expect.objectContaining({ policy: OTHER, nice: 0 })]);
  // Those that the first discovery has created.
  for (const comm of ["ffrtmp slow rea", "ffrtmp move loc"])
    expect(threadsOf(daemon).find((thread) => thread.comm === comm)?.policy).toBe(RR);

  workload.kill("SIGKILL");
  await until("the hook has run", () => existsSync(seen));
  const fields = readFileSync(seen, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  expect({ nice: fields[16], policy: fields[38] }).toEqual({ nice: "10", policy: String(OTHER) });
});

realtimeTest("watch --scheduling unchanged has the scheduling that it was started with", async () => {
  const box = sandbox();
  daemon = await startDaemon(box, ["--target", `none-${box.tag}`, "--scheduling", "unchanged"]);
  expect(new Set(threadsOf(daemon).map(({ policy }) => policy))).toEqual(new Set([OTHER]));
});
