import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { lacksCommand, testIf } from "../support/sandbox.ts";

const UNIT = join(import.meta.dir, "../../packaging/fleet/ffrtmp-fleet-agent.service");
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

analyzeTest("systemd finds little that the agent could do", () => {
  const cmd = ["systemd-analyze", "security", "--offline=yes", "--no-pager", UNIT];
  const { stdout } = Bun.spawnSync(cmd, { env: { ...process.env, SYSTEMD_COLORS: "0" } });
  const exposure = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout.toString())?.[1];
  expect(Number(exposure)).toBeLessThanOrEqual(MAX_EXPOSURE);
});
