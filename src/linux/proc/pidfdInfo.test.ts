import { expect, test } from "bun:test";
import { openSync } from "node:fs";
import { closeFd } from "../../sys/descriptor.ts";
import { openPidfd } from "../../sys/pidfd.ts";
import { realHost } from "../host.ts";
import { parsePidfdInfo, readPidfdInfo } from "./pidfdInfo.ts";

test("a pidfd's entry names the process, or says that it is gone", () => {
  expect(parsePidfdInfo("pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1\nPid:\t4026\nNSpid:\t4026\n")).toBe(
    4026,
  );
  expect(parsePidfdInfo("pos:\t0\nPid:\t-1\nNSpid:\t-1\n")).toBe("gone");
  expect(parsePidfdInfo("pos:\t0\nflags:\t02\n")).toBe("none");
  expect(parsePidfdInfo("gone")).toBe("none");
});

test("the kernel's own entries are read so", async () => {
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
