import { expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { findDisk } from "../../test/support/realCgroups.ts";
import { findWholeDisk } from "./blockDevice.ts";

/** Lists every partition of this machine with its disk: `8:1` and `8:0`. */
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
const deviceFiles = readdirSync("/sys/block").filter((name) =>
  statSync(`/dev/${name}`, { throwIfNoEntry: false })?.isBlockDevice(),
);
if (deviceFiles.length === 0) console.log("not tried: device files: this machine has none for its disks");
if (disk === undefined) console.log("not tried: whole disks: this machine has none");
if (listPartitions().length === 0) console.log("not tried: partitions: no disk of this machine has any");

test.skipIf(disk === undefined)("findWholeDisk() returns a whole disk as it is", () => {
  expect(findWholeDisk(disk as string)).toEqual({ device: disk as string });
});

test.skipIf(listPartitions().length === 0)("findWholeDisk() returns the disk of a partition", () => {
  for (const [partition, whole] of listPartitions())
    expect(findWholeDisk(partition)).toEqual({ device: whole });
});

test.skipIf(deviceFiles.length === 0)("findWholeDisk() returns the disk of a device file", () => {
  for (const name of deviceFiles) {
    const device = readFileSync(`/sys/block/${name}/dev`, "utf8").trim();
    expect(findWholeDisk(`/dev/${name}`)).toEqual({ device });
  }
});

test.each([
  ["999:7", "there is no block device 999:7"],
  ["/no/such/file", "/no/such/file does not exist"],
  ["", " does not exist"],
])("findWholeDisk(%j) returns why there is no disk", (target, reason) => {
  expect(findWholeDisk(target)).toEqual({ reason });
});

test("findWholeDisk() returns why a path on a file system without a disk has none", () => {
  const found = findWholeDisk("/proc/self");
  expect(found).toEqual({
    reason: expect.stringMatching(/^\/proc\/self is on a file system without its own disk/),
  });
});
