import { expect } from "bun:test";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { loadExecFilter } from "../../src/linux/events/execFilter.ts";
import { closeFd } from "../../src/sys/descriptor.ts";
import {
  eventually,
  FFRTMP,
  lacksCommand,
  lacksRoot,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const FLOOD = new URL("../support/programs/flood.pl", import.meta.url).pathname;
const TARGETS = 8;

const sandbox = useSandbox();

function lacksConnector(): string | undefined {
  const missing = lacksRoot() ?? lacksCommand("perl");
  const own = /^NSpid:\s+(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]?.split(/\s+/);
  return missing ?? (own && own.length > 1 ? "needs the machine's own pid namespace" : undefined);
}

interface Flooded {
  daemon: Bun.Subprocess;
  log(): string;
  startedMs: number;
  flood: Bun.Subprocess;
}

/** Starts `watch`, which makes no scan of its own, and a flood of process events by user 65534. */
async function watchFlooded(
  box: Sandbox,
  target: string,
  kind: string,
  wrapper: string[] = [],
): Promise<Flooded> {
  const path = box.path("watch.log");
  const policy = box.path("policy.yaml");
  writeFileSync(policy, `target_commands: ["${target}"]\n`);
  const startedMs = performance.now();
  const command = [...wrapper, FFRTMP, "watch", "--watch-config", policy, "--scan-interval", "24h"];
  const daemon = box.spawn(command, {
    stdout: "ignore",
    stderr: openSync(path, "a"),
  });
  const log = () => readFileSync(path, "utf8");
  await until("the daemon watches", () => log().includes("; events: connector"));
  const flood = box.spawn(["perl", FLOOD, kind], { stdout: "ignore", stderr: "ignore" });
  return { daemon, log, startedMs, flood };
}

/** Ends the flood and then the daemon, whose last report has the counts. */
// biome-ignore lint/suspicious/noExplicitAny: the JSON has many shapes
async function countsAfter(box: Sandbox, { daemon, flood }: Flooded): Promise<any> {
  expect(flood.exitCode).toBeNull();
  flood.kill("SIGKILL");
  await flood.exited;
  daemon.kill("SIGTERM");
  await daemon.exited;
  return box.json(["ps", "--daemon"]);
}

function lacksFilter(): string | undefined {
  const loaded = loadExecFilter(process.pid);
  if ("reason" in loaded) return loaded.reason;
  for (const fd of [loaded.programFd, loaded.mapFd]) closeFd(fd);
  return lacksConnector();
}

const missing = lacksConnector();

const WITHOUT_FILTER = ["setpriv", "--bounding-set", "-bpf,-sys_admin"];

for (const [kind, wrapper, how] of [
  ["renames", [], ""],
  ["execs", [], ""],
  ["execs", WITHOUT_FILTER, " that the kernel does not filter"],
  ["forks", [], ""],
] as const) {
  const lacks = missing ?? (wrapper.length > 0 ? lacksCommand("setpriv") : undefined);
  testIf(lacks)(`every target is governed by its exec event during a flood of ${kind}${how}`, async () => {
    const box = sandbox();
    const { name, path } = box.program("sleep");
    const flooded = await watchFlooded(box, name, kind, [...wrapper]);
    for (let count = 0; count < TARGETS; count++) {
      const { pid } = box.spawn([path, "600"]);
      await until("the target is governed", () => flooded.log().includes(`Attaching to PID ${pid} `));
    }
    const counts = await countsAfter(box, flooded);
    expect(counts).toMatchObject({ events_dropped: 0, found_by_looking: 0 });
  });
}

testIf(missing)(
  "a flood of renamings hides no other renaming, and causes few scans and log lines",
  async () => {
    const box = sandbox();
    const name = `late-${box.tag}`;
    // Any name can match a pattern, so the kernel passes all renamings on.
    const flooded = await watchFlooded(box, `${name}*`, "renames");
    await until("renamings are dropped", () => flooded.log().includes("were lost"));
    const rename = `sleep 1; $0 = '${name}'; sleep 600`;
    const { pid } = box.spawn(["perl", "-e", rename]);
    await until("the process is governed", () => flooded.log().includes(`Attaching to PID ${pid} `));
    const account = await eventually("a scan is counted", async () => {
      const latest = await box.json(["ps", "--daemon"]);
      return latest.rescans > 0 ? latest : undefined;
    });
    const counts = await countsAfter(box, flooded);
    const seconds = (performance.now() - flooded.startedMs) / 1000;
    expect(account.event_source).toBe("connector");
    expect(counts.events_dropped).toBe(0);
    expect(counts.renames_dropped).toBeGreaterThan(0);
    expect(counts.rescans).toBeLessThanOrEqual(1 + seconds);
    expect(flooded.log().match(/were lost/g)?.length).toBeLessThanOrEqual(1 + seconds / 60);
  },
);

testIf(missing)("a flood of renamings to names that no policy has does not reach the daemon", async () => {
  const box = sandbox();
  const name = `late-${box.tag}`;
  const flooded = await watchFlooded(box, name, "renames");
  const { pid } = box.spawn(["perl", "-e", `sleep 1; $0 = '${name}'; sleep 600`]);
  await until("the process is governed", () => flooded.log().includes(`Attaching to PID ${pid} `));
  const counts = await countsAfter(box, flooded);
  expect(counts).toMatchObject({ renames_dropped: 0, events_dropped: 0, found_by_looking: 0, rescans: 0 });
});

testIf(lacksFilter())(
  "a flood of execs under names that no policy has does not reach the daemon",
  async () => {
    const box = sandbox();
    const flooded = await watchFlooded(box, `none-${box.tag}`, "execs");
    const counts = () => box.json(["ps", "--daemon"]);
    await until("the flood has begun", async () => (await counts())?.execs_filtered > 0);
    const before = await counts();
    await until(
      "1000 execs are dropped",
      async () => (await counts()).execs_filtered > before.execs_filtered + 1000,
    );
    const after = await counts();
    await countsAfter(box, flooded);
    // The heartbeat, and what other tests rename.
    expect(after.events_received - before.events_received).toBeLessThan(100);
  },
);
