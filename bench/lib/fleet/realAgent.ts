import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { FfrtmpUnderTest } from "../ffrtmp.ts";
import { eventually, type MemoryKb, Processes, readCpuSeconds, readMemory } from "../processes.ts";

/** The parts of a start that are freed again by themselves. */
const SETTLING_MS = 20_000;

/** What the agent of a node whose jobs do nothing costs. */
export interface AgentCost {
  memory: MemoryKb;
  cpuMsPerMinute: number;
}

/** Joins a hub with an invite, and measures the executable's own agent for a time in which no job starts or ends. */
export async function measureAgent(
  ffrtmp: FfrtmpUnderTest,
  invite: string,
  seconds: number,
): Promise<AgentCost> {
  await using processes = new Processes();
  const config = join(ffrtmp.directory, "etc", "node.yaml");
  const log = join(ffrtmp.directory, "agent.log");
  for (const args of [
    ["run", "--", "true"],
    ["fleet", "join", "--config", config, invite],
  ]) {
    const env = { ...(process.env as Record<string, string>), ...ffrtmp.environment };
    const { exitCode, stderr } = Bun.spawnSync({ cmd: [ffrtmp.executable, ...args], env });
    if (exitCode !== 0) throw new Error(`ffrtmp ${args[0]} ended with ${exitCode}: ${stderr}`);
  }
  const agent = processes.start([ffrtmp.executable, "fleet", "agent", "--config", config], {
    env: ffrtmp.environment,
    stderr: openSync(log, "a"),
  });
  await eventually("the agent is connected", () =>
    readFileSync(log, "utf8").includes("connected to") ? true : undefined,
  );
  await Bun.sleep(SETTLING_MS);
  const before = readCpuSeconds(agent.pid);
  await Bun.sleep(seconds * 1000);
  const cpuMsPerMinute = ((readCpuSeconds(agent.pid) - before) * 1000 * 60) / seconds;
  return { memory: readMemory(agent.pid), cpuMsPerMinute };
}
