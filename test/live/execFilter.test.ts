import { expect } from "bun:test";
import { linkSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { loadExecFilter } from "../../src/linux/events/execFilter.ts";
import { closeFd } from "../../src/sys/descriptor.ts";
import {
  lacksCommand,
  lacksRoot,
  readProc,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";
import { startAsService, startDaemon, type WatchDaemon } from "../support/watchDaemon.ts";

/** linux/capability.h */
const CAP_PERFMON = 38n;
const CAP_BPF = 39n;

const sandbox = useSandbox();

function lacksFilter(): string | undefined {
  const missing = lacksRoot() ?? lacksCommand("bash");
  if (missing !== undefined) return missing;
  const loaded = loadExecFilter(process.pid);
  if ("reason" in loaded) return loaded.reason;
  for (const fd of [loaded.programFd, loaded.mapFd]) closeFd(fd);
  return undefined;
}

const filterTest = testIf(lacksFilter() ?? lacksCommand("setpriv"));

// biome-ignore lint/suspicious/noExplicitAny: the JSON has many shapes
async function counts(box: Sandbox): Promise<any> {
  return box.json(["ps", "--daemon"]);
}

async function doctorText(box: Sandbox): Promise<string> {
  const checks: { name: string; works: boolean; found: string }[] = await box.json(["doctor"]);
  const check = checks.find(({ name }) => name === "exec filter");
  expect(check?.works).toBe(true);
  return check?.found ?? "";
}

/** Starts a program of this sandbox under a first argument of its own, in the place of a shell that waits for a line. */
function executeLater(box: Sandbox, path: string, argv0: string) {
  const script = `read line; exec -a '${argv0}' '${path}' 600`;
  return box.spawn(["bash", "-c", script], { stdin: "pipe" });
}

function proceed(child: Bun.Subprocess): void {
  const stdin = child.stdin as Bun.FileSink;
  stdin.write("\n");
  stdin.end();
}

async function isGoverned({ log }: Pick<WatchDaemon, "log">, pid: number): Promise<void> {
  await until(`PID ${pid} is governed`, () => log().includes(`Attaching to PID ${pid} `));
}

filterTest(
  "execs of other commands reach no thread of the daemon, and targets are governed at once",
  async () => {
    const box = sandbox();
    const { name, path } = box.program("sleep");
    const daemon = await startDaemon(box, ["--target", name, "--scan-interval", "24h"]);
    const before = await counts(box);
    await box.spawn(["sh", "-c", "for i in $(seq 500); do /bin/true; done"]).exited;
    const { pid } = box.spawn([path, "600"]);
    await isGoverned(daemon, pid);
    const after = await counts(box);
    expect(after.execs_filtered - before.execs_filtered).toBeGreaterThanOrEqual(500);
    expect(after.events_received - before.events_received).toBeLessThan(100);
    expect(after).toMatchObject({ found_by_looking: 0, events_dropped: 0 });
    expect(await doctorText(box)).toMatch(/^in use: watch was spared \d+ execs/);
  },
);

filterTest(
  "a process known by its first argument only is found by the scan, the next one at once",
  async () => {
    const box = sandbox();
    const { path } = box.program("sleep");
    const target = `argv0-${box.tag}`;
    const daemon = await startDaemon(box, ["--target", target, "--scan-interval", "500ms"]);
    // Older than the time in which a scan checks new processes again.
    const child = executeLater(box, path, target);
    await Bun.sleep(6000);
    proceed(child);
    await isGoverned(daemon, child.pid);
    // After the processes that the same scan has found.
    await until("the scan is reported", () =>
      daemon.log().includes(`PID ${child.pid} found by scan (its executable has another name`),
    );
    const found = (await counts(box)).found_by_looking;
    const next = executeLater(box, path, target);
    proceed(next);
    await isGoverned(daemon, next.pid);
    expect((await counts(box)).found_by_looking).toBe(found);
  },
);

filterTest(
  "a script is found by the scan under the name of its interpreter, and at once under its own",
  async () => {
    const box = sandbox();
    const { name: interpreter, path } = box.program("bash");
    const script = box.path(`script-${box.tag}`.slice(0, 15));
    writeFileSync(script, `#!${path}\nread line\n`, { mode: 0o755 });
    const byScan = await startDaemon(box, ["--target", interpreter, "--scan-interval", "500ms"]);
    const first = box.spawn([script], { stdin: "pipe" });
    await isGoverned(byScan, first.pid);
    await until("the scan is reported", () => byScan.log().includes(`PID ${first.pid} found by scan`));
    byScan.process.kill("SIGTERM");
    await byScan.process.exited;
    const own = `script-${box.tag}`.slice(0, 15);
    const atOnce = await startDaemon(box, ["--target", own, "--scan-interval", "24h"]);
    const second = box.spawn([script], { stdin: "pipe" });
    await isGoverned(atOnce, second.pid);
  },
);

filterTest("a policy that can match any name receives all execs, and a reload changes that", async () => {
  const box = sandbox();
  const { name, path } = box.program("sleep");
  const policy = box.path("policy.yaml");
  writeFileSync(policy, `target_commands: ["${name.slice(0, -1)}*"]\n`);
  const daemon = await startDaemon(box, ["--watch-config", policy, "--scan-interval", "24h"]);
  expect(await counts(box)).toMatchObject({ execs_filtered: null });
  const renamed = box.path("renamed");
  linkSync(path, renamed);
  const argv0 = `${name.slice(0, -1)}-x`;
  const child = executeLater(box, renamed, argv0);
  writeFileSync(policy, `target_commands: ["${name}"]\n`);
  await until("the filter is in use", async () => (await counts(box)).execs_filtered !== null);
  await isGoverned(daemon, box.spawn([path, "600"]).pid);
  writeFileSync(policy, `target_commands: ["${name.slice(0, -1)}*"]\n`);
  await until("the filter is not in use", async () => (await counts(box)).execs_filtered === null);
  proceed(child);
  await isGoverned(daemon, child.pid);
});

filterTest("no target is missed while the policy changes without end", async () => {
  const box = sandbox();
  const { name, path } = box.program("sleep");
  const policy = box.path("policy.yaml");
  let turn = 0;
  const change = (): void => {
    const names = Array.from({ length: 20 }, (_, index) => `other-${turn}-${index}`);
    const pattern = turn % 3 === 0 ? ["other-*"] : [];
    turn++;
    writeFileSync(`${policy}.new`, `target_commands: ${JSON.stringify([...names, ...pattern, name])}\n`);
    renameSync(`${policy}.new`, policy);
  };
  change();
  const daemon = await startDaemon(box, ["--watch-config", policy, "--scan-interval", "24h"]);
  const pids: number[] = [];
  for (let reloads = 1; reloads <= 12; reloads++) {
    change();
    daemon.process.kill("SIGHUP");
    for (let count = 0; count < 3; count++) {
      pids.push(box.spawn([path, "600"]).pid);
      await Bun.sleep(10);
    }
    await until("the policy is loaded", () => daemon.log().split("Policy loaded").length > reloads);
  }
  for (const pid of pids) await isGoverned(daemon, pid);
});

filterTest(
  "with the rights of the drop-in, the service uses the filter and has none of these rights",
  async () => {
    const box = sandbox();
    const { name, path } = box.program("sleep");
    const flags = ["--target", name, "--scan-interval", "24h"];
    const { pid, log } = await startAsService(box, flags, ["CAP_BPF", "CAP_PERFMON"]);
    expect(await counts(box)).toMatchObject({
      execs_filtered: expect.any(Number),
      execs_unfiltered_because: null,
    });
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const status = readProc(pid, `task/${task}/status`);
      const permitted = BigInt(`0x${/^CapPrm:\s+(\w+)$/m.exec(status)?.[1]}`);
      expect(permitted & ((1n << CAP_BPF) | (1n << CAP_PERFMON))).toBe(0n);
    }
    await isGoverned({ log }, box.spawn([path, "600"]).pid);
  },
);

filterTest("without the drop-in, the service receives all execs and says why", async () => {
  const box = sandbox();
  const { path } = box.program("sleep");
  linkSync(path, box.path("renamed"));
  const target = `argv0-${box.tag}`;
  const daemon = await startAsService(box, ["--target", target, "--scan-interval", "24h"]);
  const status = await counts(box);
  expect(status).toMatchObject({ execs_filtered: null });
  expect(status.execs_unfiltered_because).toContain("CAP_BPF");
  expect(await doctorText(box)).toMatch(
    /^possible, and not in use by watch: .*exec-filter\.conf.* would save up to \d+ ms/,
  );
  const child = executeLater(box, box.path("renamed"), target);
  proceed(child);
  await isGoverned(daemon, child.pid);
});
