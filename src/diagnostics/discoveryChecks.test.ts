import { expect, test } from "bun:test";
import { procTree } from "../../test/support/procTree.ts";
import { readFavorDynmods } from "../linux/cgroup/favorDynmods.ts";
import { describeMoveWait } from "./discoveryChecks.ts";

const V2 = "42 32 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
const V1 = "33 28 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu";
const WAITS = [8.94, 6.1, 14.42, 7.2, 9.9];

function describe(mountinfo: string, version: string, waits = WAITS): string {
  using proc = procTree({ "self/mountinfo": `${mountinfo}\n` });
  return describeMoveWait(waits, readFavorDynmods(proc.host, version));
}

test("a wait is named with what shortens it on this kernel, and with the price", () => {
  expect(describe(V2, "6.12.9-cloud-amd64")).toBe(
    "8.9 ms in the median of 5 moves, 14.4 ms at most: so long a process that watch finds runs without limits. " +
      "cgroup_favordynmods=1 on the kernel command line, or mount -o remount,favordynmods of a cgroup file system makes it 0.1 ms, " +
      "and every fork, exec and exit on the machine slower",
  );
  expect(describe(V2, "6.18.0")).toEndWith("slower; this kernel cannot turn it off before the next boot");
  expect(describe(V2, "7.0")).toEndWith("before the next boot");
});

test("no way is named that the kernel does not have", () => {
  expect(describe(V2, "6.1.0-37-amd64")).not.toContain("command line");
  expect(describe(V2, "6.1.0-37-amd64")).toContain("remount,favordynmods");
  expect(describe(V1, "5.15.0")).toBe(
    "8.9 ms in the median of 5 moves, 14.4 ms at most; favordynmods, which shortens it, needs Linux 6.0",
  );
});

test("nothing is to be done where moves do not wait", () => {
  const waits = [0.06, 0.05, 0.2];
  const on =
    "0.06 ms in the median of 3 moves, 0.20 ms at most; favordynmods is on, and each fork, exec and exit pays for it";
  expect(describe(`${V2},favordynmods`, "6.12", waits)).toBe(on);
  expect(describe(`${V1},favordynmods`, "6.12", waits)).toBe(on);
  expect(describe(V2, "6.12", waits)).toBe("0.06 ms in the median of 3 moves, 0.20 ms at most");
});
