import { expect } from "bun:test";
import { loadavg } from "node:os";
import { countCpus } from "../support/realCgroups.ts";
import { eventually, lacksLimits, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();

/** Many ready threads of others leave too little for a difference between three jobs. */
const MAX_LOAD_PER_CPU = 10;
const load = (loadavg()[0] as number) / countCpus();
const crowded = load > MAX_LOAD_PER_CPU ? `needs less load than ${load.toFixed(1)} for each CPU` : undefined;
const fightTest = testIf(lacksLimits() ?? crowded);

/** A busy loop for each CPU, so that the job could use the whole machine. */
const LOOPS = `${"(while :; do :; done) & ".repeat(countCpus())}wait`;
const WEIGHTS = { low: 50, middle: 100, high: 250 };
/** The balancing of threads over CPUs is not exact, and other programs disturb it. */
const TOLERANCE = 0.08;

interface Line {
  job_id: string;
  cpu_percent: number;
  sure_cores: number | null;
}

fightTest("three jobs that fight for all CPUs get what they were sure of, in proportion", async () => {
  const ids = Object.keys(WEIGHTS) as (keyof typeof WEIGHTS)[];
  await Promise.all(
    ids.map((id) => sandbox().startJob(id, ["--cpu-weight", String(WEIGHTS[id])], ["sh", "-c", LOOPS])),
  );
  const stats = sandbox().start(["stats", "--json", "--interval", "3s"], { stderr: "ignore" });
  const lines = readLines(stats.stdout as ReadableStream<Uint8Array>);
  const sum = ids.reduce((total, id) => total + WEIGHTS[id], 0);
  const seen = await eventually("what the jobs use has the proportions of their shares", async () => {
    const round = [await lines(), await lines(), await lines()];
    const [used, sure] = [round.map((line) => line.cpu_percent), round.map((line) => line.sure_cores ?? 0)];
    const part = (values: number[], index: number) =>
      (values[index] as number) / values.reduce((total, value) => total + value, 0);
    const isAlike = round.every((_, index) => Math.abs(part(used, index) - part(sure, index)) < TOLERANCE);
    return isAlike ? round : undefined;
  });
  stats.kill("SIGTERM");
  for (const { job_id, sure_cores } of seen) {
    const weight = WEIGHTS[job_id as keyof typeof WEIGHTS];
    // Nobody else has more than a part of the CPUs, and together they are sure of no more than there is.
    expect(sure_cores).toBeGreaterThan(0);
    expect(sure_cores).toBeLessThanOrEqual((countCpus() * weight) / sum + 0.01);
  }
});

/** Returns a function that reads the next line of JSON. */
function readLines(stream: ReadableStream<Uint8Array>): () => Promise<Line> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  return async () => {
    for (let end = text.indexOf("\n"); ; end = text.indexOf("\n")) {
      if (end >= 0) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        return JSON.parse(line);
      }
      const { value, done } = await reader.read();
      if (done) throw new Error("stats ended");
      text += decoder.decode(value, { stream: true });
    }
  };
}
