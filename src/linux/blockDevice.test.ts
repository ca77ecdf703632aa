import { expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { findDisk } from "../../test/support/realCgroups.ts";
import { findWholeDisk } from "./blockDevice.ts";

/** `8:1` → `8:0`, for every partition that this machine shows. */
function listPartitions(): [partition: string, disk: string][] {
  return readdirSync("/sys/block").flatMap((disk) =>
    readdirSync(`/sys/block/${disk}`)
      .filter((name) => name.startsWith(disk))
      .map((name): [string, string] => [
        readFileSync(`/sys/block/${disk}/${name}/dev`, "utf8").trim(),
        readFileSync(`/sys/block/${disk}/dev`, "utf8").trim(),
      ]),
  );
}

const disk = findDisk();
if (disk === undefined) console.log("not tried: whole disks: this machine shows none");
if (listPartitions().length === 0) console.log("not tried: partitions: no disk of this machine has any");

test.skipIf(disk === undefined)("a disk's own number is the disk", () => {
  expect(findWholeDisk(disk as string)).toEqual({ device: disk as string });
});

test.skipIf(listPartitions().length === 0)("a partition stands for its whole disk", () => {
  for (const [partition, whole] of listPartitions())
    expect(findWholeDisk(partition)).toEqual({ device: whole });
});

test("a device file stands for its disk", () => {
  for (const name of readdirSync("/sys/block")) {
    const path = `/dev/${name}`;
    if (!statSync(path, { throwIfNoEntry: false })?.isBlockDevice()) continue;
    expect(findWholeDisk(path)).toEqual({ device: readFileSync(`/sys/block/${name}/dev`, "utf8").trim() });
  }
});

test.each([
  ["999:7", "there is no block device 999:7"],
  ["/no/such/file", "/no/such/file does not exist"],
  ["", " does not exist"],
])("%j names no disk", (target, reason) => {
  expect(findWholeDisk(target)).toEqual({ reason });
});

test("a path on a file system that has no disk names none, and says so", () => {
  const answer = findWholeDisk("/proc/self");
  expect(answer).toEqual({
    reason: expect.stringMatching(/^\/proc\/self is on a file system without a disk of its own/),
  });
});
