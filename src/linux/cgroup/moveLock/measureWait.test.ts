import { expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realHost } from "../../host.ts";
import { directoryOf, type Hierarchy, readHierarchies, readMembership } from "../hierarchies.ts";
import { measureMoveWait } from "./measureWait.ts";

const host = realHost();
const real = readHierarchies(host).filter(({ controllers }) => controllers.length > 0);
const membership = readMembership(host, "self") as ReadonlyMap<string, string>;
const isAllowed =
  process.geteuid?.() === 0 &&
  real.some((each) => host.cgroupFs.isWritable(directoryOf(each, membership.get(each.key) ?? "") ?? ""));
if (!isAllowed)
  process.stderr.write("not tried: moves of the real kernel: no right to create cgroups here\n");

test.skipIf(!isAllowed)("measureMoveWait() moves a child, and leaves no cgroup and no process", async () => {
  const name = `ffrtmp.doctor-test-${process.pid}`;
  const before = readFileSync("/proc/self/cgroup", "utf8");
  const waits = await measureMoveWait(host, real, name);
  expect(waits).toBeArrayOfSize(7);
  expect((waits as number[]).every((ms) => ms > 0)).toBe(true);
  expect(readFileSync("/proc/self/cgroup", "utf8")).toBe(before);
  for (const each of real) {
    const own = directoryOf(each, membership.get(each.key) ?? "");
    expect(existsSync(`${own}/${name}`)).toBe(false);
  }
  expect(readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim()).toBe("");
});

test("measureMoveWait() says where the kernel refuses a move, and removes its cgroup", async () => {
  const mountPoint = mkdtempSync(join(tmpdir(), "ffrtmp-wait-"));
  const hierarchy: Hierarchy = { key: "cpu", version: 1, controllers: ["cpu"], mountPoint, mountRoot: "/" };
  mkdirSync(join(mountPoint, "own"));
  try {
    mkdirSync(join(mountPoint, "self"));
    writeFileSync(join(mountPoint, "self/cgroup"), "1:cpu:/own\n");
    // A directory has no cgroup.procs.
    const answer = await measureMoveWait({ ...host, procRoot: mountPoint }, [hierarchy], "moved");
    expect(answer).toEqual({ reason: `ENOENT (no such file) at ${mountPoint}/own/moved` });
    expect(existsSync(`${mountPoint}/own/moved`)).toBe(false);
    expect(await measureMoveWait({ ...host, procRoot: mountPoint }, [], "moved")).toEqual({
      reason: "the cgroup of this process is not visible",
    });
  } finally {
    rmSync(mountPoint, { recursive: true });
  }
});
