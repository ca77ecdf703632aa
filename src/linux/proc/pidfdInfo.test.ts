import { expect, test } from "bun:test";
import { openSync } from "node:fs";
import { procTree } from "../../../test/support/procTree.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { openPidfd } from "../../sys/pidfd.ts";
import { realHost } from "../host.ts";
import { readPidfdInfo } from "./pidfdInfo.ts";

test("readPidfdInfo() returns the pid, gone or none", () => {
  using proc = procTree({
    "self/fdinfo/3": "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1\nPid:\t4026\nNSpid:\t4026\n",
    "self/fdinfo/4": "pos:\t0\nPid:\t-1\nNSpid:\t-1\n",
    "self/fdinfo/5": "pos:\t0\nflags:\t02\n",
  });
  expect([3, 4, 5, 6].map((fd) => readPidfdInfo(proc.host, fd))).toEqual([4026, "gone", "none", "none"]);
});

test("readPidfdInfo() reads the entries of the kernel", async () => {
  const host = realHost();
  const child = Bun.spawn(["cat"], { stdin: "pipe" });
  const pidfd = openPidfd(child.pid);
  expect(readPidfdInfo(host, pidfd)).toBe(child.pid);
  child.stdin.end();
  await child.exited;
  expect(readPidfdInfo(host, pidfd)).toBe("gone");
  closeFd(pidfd);
  const file = openSync("/dev/null", "r");
  expect(readPidfdInfo(host, file)).toBe("none");
  closeFd(file);
  expect(readPidfdInfo(host, 999_999)).toBe("none");
});
