import { appendFileSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
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

/** Lets a node take jobs, as root does: see `measureAgent`. */
export interface Taking {
  readonly pool: string;
  /** The public part of the key that signs jobs. */
  readonly trusted: string;
}

/** As many as a node of one pool has. */
const TEMPLATES = 5;
const TEMPLATE = `command: [ffmpeg, -nostdin, -i, "{input}", -vf, "scale=-2:{height}", -f, hls, "{output}"]
params:
  input: {type: url, schemes: [https], hosts: ["*.media.example"]}
  height: {type: number, min: 144, max: 1080, whole: true}
  output: {type: path, under: /tmp, suffix: [.m3u8], insert: ".{job}.{attempt}"}
limits: {cpu_quota: 400, memory_max: 4GiB}
`;

/**
 * Joins a hub with an invite, and measures the executable's own agent for a time in which no job starts or ends. `taking`: it takes
 * jobs, of which there are none.
 */
export async function measureAgent(
  ffrtmp: FfrtmpUnderTest,
  invite: string,
  seconds: number,
  taking?: Taking,
): Promise<AgentCost> {
  await using processes = new Processes();
  const etc = join(ffrtmp.directory, taking === undefined ? "etc" : "etc-taking");
  const config = join(etc, "node.yaml");
  const log = `${etc}.log`;
  for (const args of [
    ["run", "--", "true"],
    ["fleet", "join", "--config", config, invite],
  ]) {
    const env = { ...(process.env as Record<string, string>), ...ffrtmp.environment };
    const { exitCode, stderr } = Bun.spawnSync({ cmd: [ffrtmp.executable, ...args], env });
    if (exitCode !== 0) throw new Error(`ffrtmp ${args[0]} ended with ${exitCode}: ${stderr}`);
  }
  appendFileSync(config, `state_dir: ${etc}-agent\n`);
  if (taking !== undefined) allow(etc, taking);
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

function allow(etc: string, { pool, trusted }: Taking): void {
  const accept = { v: 1, pools: [pool], slots: 4, as: "nobody", trusted: [trusted] };
  writeFileSync(join(etc, "accept.yaml"), JSON.stringify(accept), { mode: 0o644 });
  mkdirSync(join(etc, "templates.d"));
  for (let index = 0; index < TEMPLATES; index++)
    writeFileSync(join(etc, "templates.d", `template-${index}.yaml`), TEMPLATE, { mode: 0o644 });
}
