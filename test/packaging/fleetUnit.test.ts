import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { lacksCommand, testIf } from "../support/sandbox.ts";

const UNITS = join(import.meta.dir, "../../packaging/fleet");
const UNIT = join(UNITS, "ffrtmp-fleet-agent.service");
const analyzeTest = testIf(lacksCommand("systemd-analyze"));
const MAX_EXPOSURE = 2.0;

test("the agent of a fleet has no capability, writes its own documents alone, and takes little from the workloads", () => {
  const lines = readFileSync(UNIT, "utf8").split("\n");
  for (const line of [
    "DynamicUser=yes",
    "SupplementaryGroups=ffrtmp",
    "StateDirectory=ffrtmp-fleet",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    "MemoryMax=64M",
    "CPUQuota=10%",
  ])
    expect(lines).toContain(line);
  expect(
    lines.filter((line) =>
      /^(StateDirectory=(?!ffrtmp-fleet$)|ReadWritePaths|AmbientCapabilities|Listen)/.test(line),
    ),
  ).toEqual([]);
});

test("the service that starts jobs has no setting that a workload would inherit and suffer from", () => {
  const lines = readFileSync(join(UNITS, "ffrtmp-fleet-runner.service"), "utf8").split("\n");
  for (const line of ["IPAddressDeny=any", "NoNewPrivileges=yes", "KillMode=process"])
    expect(lines).toContain(line);
  // Namespaces, seccomp filters, priorities and limits: systemd.exec(5).
  const inherited =
    /^(Private|Protect(System|Home|Kernel|Control)|Restrict|SystemCall|MemoryDeny|Nice|OOMScore|UMask|Limit|IOSched|CPUSched)/;
  expect(lines.filter((line) => inherited.test(line))).toEqual([]);
});

analyzeTest("systemd finds little that the agent could do", () => {
  const cmd = ["systemd-analyze", "security", "--offline=yes", "--no-pager", UNIT];
  const { stdout } = Bun.spawnSync(cmd, { env: { ...process.env, SYSTEMD_COLORS: "0" } });
  const exposure = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout.toString())?.[1];
  expect(Number(exposure)).toBeLessThanOrEqual(MAX_EXPOSURE);
});
