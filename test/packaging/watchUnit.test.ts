import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { KEPT_CAPABILITIES } from "../../src/sys/capabilities.ts";
import { tryForbiddenCalls } from "../../src/sys/seccomp.ts";
import { lacksCommand, testIf } from "../support/sandbox.ts";

const UNIT = join(import.meta.dir, "../../packaging/systemd/ffrtmp-watch.service");
const DROP_IN = join(import.meta.dir, "../../packaging/systemd-drop-ins/exec-filter.conf");
const METERING = join(import.meta.dir, "../../packaging/systemd-drop-ins/metering.conf");
const analyzeTest = testIf(lacksCommand("systemd-analyze"));
const MAX_EXPOSURE = 4.0;

interface Finding {
  name: string;
  /** Absent or null when the setting is as strict as possible. */
  exposure?: string | null;
}

function analyze(...flags: string[]): { exitCode: number; text: string } {
  const cmd = ["systemd-analyze", "security", "--offline=yes", "--no-pager", ...flags, UNIT];
  const { exitCode, stdout } = Bun.spawnSync(cmd, { env: { ...process.env, SYSTEMD_COLORS: "0" } });
  return { exitCode, text: stdout.toString() };
}

/** Reads the settings of the unit, each with the comment above it or above its group. */
const readComments = () => readSettings(UNIT);

function readSettings(path: string): { setting: string; value: string; comment: string }[] {
  const settings: { setting: string; value: string; comment: string }[] = [];
  let comment: string[] = [];
  let isInComment = false;
  for (const line of readFileSync(path, "utf8").split("\n")) {
    if (line.startsWith("#")) {
      comment = isInComment ? [...comment, line] : [line];
      isInComment = true;
      continue;
    }
    isInComment = false;
    const [setting = "", ...value] = line.split("=");
    if (line.includes("=")) settings.push({ setting, value: value.join("="), comment: comment.join(" ") });
    else comment = [];
  }
  return settings;
}

analyzeTest(`the daemon's exposure is at most ${MAX_EXPOSURE} by systemd-analyze`, () => {
  const { exitCode, text } = analyze(`--threshold=${MAX_EXPOSURE * 10}`);
  const exposure = Number(/exposure level for \S+: ([\d.]+)/.exec(text)?.[1]);
  expect(exposure).toBeLessThanOrEqual(MAX_EXPOSURE);
  expect(exitCode).toBe(0);
});

analyzeTest("the unit explains every setting that is not as strict as possible", () => {
  const findings = JSON.parse(analyze("--json=short").text) as Finding[];
  const exposed = findings.filter(({ exposure }) => exposure).map(({ name }) => name);
  expect(exposed.length).toBeGreaterThan(5);
  const settings = readComments();
  const unexplained = exposed.filter((name) => {
    const [setting = ""] = name.split("=");
    return !settings.some(
      (one) => one.comment.length > 40 && (one.setting === setting || one.comment.includes(`${setting}=`)),
    );
  });
  expect(unexplained).toEqual([]);
});

test("the unit explains each of its capabilities, and has none to send signals or to trace", () => {
  const kept = readComments().filter(({ setting }) => setting === "CapabilityBoundingSet");
  expect(kept).toHaveLength(1);
  for (const { value, comment } of kept) {
    for (const capability of value.split(" ")) expect(comment).toContain(`${capability}: `);
    expect(value).not.toMatch(/CAP_(KILL|SYS_PTRACE|SYS_ADMIN)/);
  }
});

test("the unit keeps the capabilities that the daemon keeps, except CAP_SYS_PTRACE", () => {
  const kept =
    readComments()
      .find(({ setting }) => setting === "CapabilityBoundingSet")
      ?.value.split(" ") ?? [];
  expect([...kept, "CAP_SYS_PTRACE"].sort()).toEqual(Object.keys(KEPT_CAPABILITIES).sort());
});

test("the unit removes the variables that replace the daemon's code", () => {
  const removed = readComments()
    .filter(({ setting }) => setting === "UnsetEnvironment")
    .flatMap(({ value }) => value.split(" "));
  for (const name of ["BUN_BE_BUN", "BUN_OPTIONS", "LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH"])
    expect(removed).toContain(name);
});

const BY_ARGUMENTS = [
  ...["tgkill", "fcntl", "ioctl", "prlimit64", "prctl", "setpriority", "ioprio_set"],
  ...["sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr"],
];

test("the unit denies system calls that signal, trace or access other processes, except tgkill", () => {
  const denied = readComments()
    .filter(({ setting, value }) => setting === "SystemCallFilter" && value.startsWith("~"))
    .flatMap(({ value }) => value.slice(1).split(" "));
  for (const call of [
    ...["kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"],
    ...["ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd"],
  ]) {
    expect(denied).toContain(call);
  }
  // The daemon's own filter decides about the others by their arguments.
  const own = Object.keys(tryForbiddenCalls()).filter((call) => !BY_ARGUMENTS.includes(call));
  expect(own.filter((call) => !denied.includes(call))).toEqual([]);
  for (const call of BY_ARGUMENTS) expect(denied).not.toContain(call);
  // Bun suspends its own threads with tgkill.
  expect(denied).not.toContain("tgkill");
});

test("the drop-in adds the rights to load the filter of execs, and nothing else", () => {
  const added = readSettings(DROP_IN).map(({ setting, value }) => `${setting}=${value}`);
  expect(added).toEqual(["CapabilityBoundingSet=CAP_BPF CAP_PERFMON", "SystemCallFilter=bpf capset"]);
  for (const { comment } of readSettings(DROP_IN)) expect(comment.length).toBeGreaterThan(40);
  // The daemon gives up again what the drop-in adds.
  for (const name of ["CAP_BPF", "CAP_PERFMON"]) expect(Object.keys(KEPT_CAPABILITIES)).not.toContain(name);
});

test("the drop-in for the meter adds rights that the daemon gives up again, and none to signal", () => {
  const added = readSettings(METERING);
  for (const { comment } of added) expect(comment.length).toBeGreaterThan(40);
  const wordsOf = (setting: string) => added.find((each) => each.setting === setting)?.value.split(" ") ?? [];
  const capabilities = wordsOf("CapabilityBoundingSet");
  const ofDaemon = Object.keys(KEPT_CAPABILITIES);
  expect(capabilities.filter((name) => ofDaemon.includes(name))).toEqual(["CAP_SYS_PTRACE"]);
  expect(capabilities).not.toContain("CAP_KILL");
  // Its own filter forbids all that the filter of the daemon forbids, but entering a namespace.
  const [own, daemons] = [tryForbiddenCalls("meter"), tryForbiddenCalls()];
  expect(Object.keys(daemons).filter((call) => !(call in own))).toEqual(["setns"]);
  expect(wordsOf("RestrictNamespaces")).toEqual(["net"]);
  const calls = wordsOf("SystemCallFilter");
  expect(calls).toContain("setns");
  expect(calls.filter((call) => call !== "setns" && call in daemons)).toEqual([]);
});
