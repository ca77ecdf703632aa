import { afterEach, expect, setDefaultTimeout } from "bun:test";
import { closeSync } from "node:fs";
import { lockDirectory, shareDirectory } from "../../src/sys/fileLock.ts";
import { ClusterServers, clusterPorts, persist } from "../support/fleet/clusterServers.ts";
import { FleetHub } from "../support/fleet/fleetHub.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { testIf, until, useSandbox } from "../support/sandbox.ts";

setDefaultTimeout(180_000);
const sandbox = useSandbox();
const live = testIf(lacksNatsServer());
let servers: ClusterServers | undefined;
afterEach(() => servers?.close());

function grownFrom(hub: FleetHub): string {
  return clusterPorts(hub.port)
    .map((port) => `127.0.0.1:${port}`)
    .join(",");
}

/** Holds a lock on the files of the operator while a command runs. */
async function holding<T>(lock: ReturnType<typeof lockDirectory>, command: () => Promise<T>): Promise<T> {
  expect(lock).toBeNumber();
  const ended = await command();
  closeSync(lock as number);
  return ended;
}

live(
  "a hub that is a service grows after it has read the closed queues, which the first call waits for in vain",
  async () => {
    const hub = new FleetHub(sandbox());
    await hub.must("init", `127.0.0.1:${hub.port}`);
    servers = new ClusterServers(sandbox(), hub);
    servers.startAll();
    await persist(hub, "setup");
    const grown = grownFrom(hub);
    const first = await hub.run("grow", grown);
    expect([first.code, first.stderr]).toEqual([1, expect.stringContaining("systemctl reload ffrtmp-hub")]);
    servers.reload();
    await until("the next call succeeds", async () => (await hub.run("grow", grown)).code === 0);
    expect((await hub.run("ps")).stderr).toContain("its servers do not have them yet");
  },
);

live("nothing is stored at the hub behind what is saved of it", async () => {
  const hub = await FleetHub.start(sandbox());
  await hub.invite("edge-1", "live");
  const submit = () => hub.run("submit", "hls", "--pool", "live");
  // As ffrtmp fleet grow does while it saves, and any other command while it uses the hub.
  const submitted = await holding(lockDirectory(hub.directory), submit);
  expect([submitted.code, submitted.stderr]).toEqual([2, expect.stringContaining("fleet grow is saving")]);
  const ended = await holding(shareDirectory(hub.directory), () => hub.run("grow", grownFrom(hub)));
  expect([ended.code, ended.stderr]).toEqual([
    2,
    expect.stringContaining("another ffrtmp fleet command uses the hub"),
  ]);
  expect(ended.stderr).toMatch(/the queues stay closed\n.*fleet restore --finish/);
  expect((await submit()).code).toBe(0);
});
