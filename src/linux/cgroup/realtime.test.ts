import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { procTree } from "../../../test/support/procTree.ts";
import { hasKernelFunction, readKernelConfig } from "../kernelConfig.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { whyNoRealtimeThreads } from "./realtime.ts";

const V1: Hierarchy = { key: "cpu", version: 1, controllers: ["cpu"], mountPoint: "/cg/cpu", mountRoot: "/" };
const V2: Hierarchy = {
  key: "",
  version: 2,
  controllers: ["cpu", "memory"],
  mountPoint: "/cg",
  mountRoot: "/",
};

// Lines of /boot/config-*
const WITHOUT = "CONFIG_CFS_BANDWIDTH=y\n# CONFIG_RT_GROUP_SCHED is not set\n";
const WITH = "CONFIG_RT_GROUP_SCHED=y\n";
const CAN_BE_OFF = `${WITH}# CONFIG_RT_GROUP_SCHED_DEFAULT_DISABLED is not set\n`;
const IS_OFF = `${WITH}CONFIG_RT_GROUP_SCHED_DEFAULT_DISABLED=y\n`;

function ask(
  hierarchies: Hierarchy[],
  config: string | undefined,
  commandLine = "quiet",
  hasFunction?: boolean,
): string | undefined {
  using proc = procTree({ cmdline: `${commandLine}\n` });
  const answer = () => hasFunction;
  return whyNoRealtimeThreads(proc.host, hierarchies, () => config, answer);
}

test("real-time threads are no danger without groups of them, and for the cpu controller of cgroup v1", () => {
  expect(ask([V2], WITHOUT)).toBeUndefined();
  expect(ask([V1], WITH)).toBeUndefined();
  expect(ask([{ ...V2, controllers: ["memory"] }, V1], WITH)).toBeUndefined();
  expect(ask([], undefined)).toBeUndefined();
});

test("real-time threads would block the cpu controller of cgroup v2 where the kernel has groups of them", () => {
  expect(ask([V2], WITH)).toContain("blocks the cpu controller");
  expect(ask([V2], CAN_BE_OFF)).toContain("rt_group_sched=0");
});

test("the kernel's command line and default decide where the kernel can do without groups", () => {
  expect(ask([V2], CAN_BE_OFF, "quiet rt_group_sched=0")).toBeUndefined();
  expect(ask([V2], IS_OFF)).toBeUndefined();
  expect(ask([V2], IS_OFF, "rt_group_sched=1")).toContain("blocks");
  // A kernel that does not know the parameter.
  expect(ask([V2], WITH, "rt_group_sched=0")).toContain("blocks");
});

test("an unknown configuration counts as a danger on cgroup v2", () => {
  expect(ask([V2], undefined)).toContain("cannot be read");
});

test("without a configuration, the functions of the kernel tell", () => {
  expect(ask([V2], undefined, "quiet", false)).toBeUndefined();
  expect(ask([V2], undefined, "quiet", true)).toContain("cannot be read");
  expect(ask([V2], WITH, "quiet", false)).toContain("blocks");
});

const types = hasKernelFunction("sched_setscheduler");
const realConfig = readKernelConfig();
const isReadable = types === true && realConfig !== undefined;
if (!isReadable) process.stderr.write("not tried: the functions of the real kernel: it does not show them\n");

test.skipIf(!isReadable)("the functions and the configuration of this kernel agree", () => {
  const isConfigured = /^CONFIG_RT_GROUP_SCHED=y$/m.test(realConfig ?? "");
  expect(hasKernelFunction("sched_rt_can_attach")).toBe(isConfigured);
});

test("hasKernelFunction() finds whole names only, and knows nothing without the file", () => {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-types-"));
  try {
    const path = join(directory, "vmlinux");
    writeFileSync(path, "\0sched_rt_can_attach_all\0sched_fork\0");
    expect(hasKernelFunction("sched_fork", path)).toBe(true);
    expect(hasKernelFunction("sched_rt_can_attach", path)).toBe(false);
    expect(hasKernelFunction("sched_fork", `${path}.none`)).toBeUndefined();
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("readKernelConfig() reads the first file that is there, also a compressed one", () => {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-config-"));
  try {
    const [none, plain, compressed] = ["none", "config", "config.gz"].map((name) =>
      join(directory, name),
    ) as [string, string, string];
    writeFileSync(plain, WITHOUT);
    writeFileSync(compressed, gzipSync(WITH));
    expect(readKernelConfig([none, plain, compressed])).toBe(WITHOUT);
    expect(readKernelConfig([none, compressed])).toBe(WITH);
    writeFileSync(compressed, "not compressed");
    expect(readKernelConfig([compressed, plain])).toBe(WITHOUT);
    expect(readKernelConfig([none])).toBeUndefined();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
