import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Host, realHost } from "../../host.ts";
import { type Hierarchy, readHierarchies } from "../hierarchies.ts";
import { MoveLockThread } from "./thread.ts";
import { warmUpMoveLock } from "./warmUp.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-movelock-"));
afterAll(() => rmSync(directory, { recursive: true }));

const V1: Hierarchy = {
  key: "cpu",
  version: 1,
  controllers: ["cpu"],
  mountPoint: `${directory}/cgroup`,
  mountRoot: "/",
};

function hostWith(membership: string): Host {
  mkdirSync(`${directory}/${process.pid}`, { recursive: true });
  writeFileSync(`${directory}/${process.pid}/cgroup`, membership);
  return { ...realHost(), procRoot: directory };
}

function written(membership: string, hierarchies: Hierarchy[]): string[] {
  const writes: string[] = [];
  const host = hostWith(membership);
  const cgroupFs = {
    ...host.cgroupFs,
    write: (path: string, data: string) => writes.push(`${data} ${path}`),
  };
  warmUpMoveLock({ ...host, cgroupFs: cgroupFs as unknown as Host["cgroupFs"] }, hierarchies);
  return writes;
}

test("warmUpMoveLock() writes the pid of this process into its own cgroup", () => {
  expect(written("4:cpu:/edge\n0::/\n", [V1])).toEqual([`${process.pid} ${directory}/cgroup/edge/tasks`]);
  const v2: Hierarchy = { ...V1, key: "", version: 2 };
  expect(written("0::/a.slice\n", [v2])).toEqual([`${process.pid} ${directory}/cgroup/a.slice/cgroup.procs`]);
});

test("warmUpMoveLock() writes nothing where the cgroup is not visible or there is none", () => {
  expect(written("4:cpu:/../outside\n", [V1])).toEqual([]);
  expect(written("0::/\n", [V1])).toEqual([]);
  expect(written("0::/\n", [])).toEqual([]);
});

test("MoveLockThread writes the pid into the cgroup of this process on request", async () => {
  // A directory in place of the hierarchy shows that the thread has written.
  const own = /^\d+:([^:]*):(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"));
  const [, key = "", path = ""] = own ?? [];
  const mountPoint = `${directory}/replaced`;
  mkdirSync(`${mountPoint}${path}`, { recursive: true });
  writeFileSync(`${mountPoint}${path}/tasks`, "");
  const thread = new MoveLockThread([{ ...V1, key, mountPoint }]);
  while (readFileSync(`${mountPoint}${path}/tasks`, "utf8") === "") {
    // The first request only creates the thread.
    thread.requestWarmUp();
    await Bun.sleep(5);
  }
  expect(readFileSync(`${mountPoint}${path}/tasks`, "utf8")).toBe(String(process.pid));
  thread.stop();
});

const real = readHierarchies(realHost()).find(({ key }) => key !== "");
if (real === undefined)
  process.stderr.write("not tried: a real move lock: this machine has no cgroup v1 hierarchy\n");

test.skipIf(real === undefined)("warmUpMoveLock() leaves this process in its cgroups", () => {
  const before = readFileSync("/proc/self/cgroup", "utf8");
  try {
    warmUpMoveLock(realHost(), [real as Hierarchy]);
  } catch {
    // The write needs root. Without it nothing changes either.
  }
  expect(readFileSync("/proc/self/cgroup", "utf8")).toBe(before);
});
