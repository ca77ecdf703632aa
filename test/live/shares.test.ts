import { Database } from "bun:sqlite";
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { basename } from "node:path";
import { askDaemon } from "../../src/daemon/askDaemon.ts";
import { locateState } from "../../src/ledger/location.ts";
import { PolicyBox } from "../support/policyBox.ts";
import { countCpus } from "../support/realCgroups.ts";
import { eventually, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";
import { startDaemon } from "../support/watchDaemon.ts";

const sandbox = useSandbox();

/** Many ready threads of others leave too little for a difference between three jobs. */
const MAX_LOAD_PER_CPU = 10;
const load = (loadavg()[0] as number) / countCpus();
const crowded = load > MAX_LOAD_PER_CPU ? `needs less load than ${load.toFixed(1)} for each CPU` : undefined;
const limitsTest = testIf(lacksLimits());
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
    // No other job has more than a part of the CPUs, and together they are sure of no more than there is.
    expect(sure_cores).toBeGreaterThan(0);
    expect(sure_cores).toBeLessThanOrEqual((countCpus() * weight) / sum + 0.01);
  }
});

limitsTest("watch knows the share of a job, and stats shows it", async () => {
  await startDaemon(sandbox());
  const start = async (id: string): Promise<void> => {
    const { code } = await sandbox().run(["run", "-d", "--job-id", id, "--", "sh", "-c", LOOPS]);
    expect(code).toBe(0);
    sandbox().adopt(await sandbox().pidOf(id));
  };
  const ask = async (): Promise<{ sureCores: number | null }[]> => {
    const answer = await askDaemon(locateState(sandbox().state, {}), { request: "shares" });
    return typeof answer === "object" && answer.ok ? Object.values(answer["shares"] as object) : [];
  };
  await start("first");
  await until("the daemon has read the first job", async () => (await ask()).length === 1);
  // What competes is known between two readings, and a new job is read at once.
  await Bun.sleep(1000);
  await start("second");
  await until("both jobs have a share", async () => {
    const shares = await ask();
    return shares.length === 2 && shares.every(({ sureCores }) => (sureCores ?? 0) > 0);
  });
  const { stdout } = await sandbox().run(["stats", "--once"]);
  const [heading, ...rows] = stdout.split("\n");
  expect(heading).toMatch(/ SURE +NEED /);
  expect(rows.filter((row) => /^(first|second) .* \d\.\d\d +-/.test(row)).length).toBe(2);
  const ps = await sandbox().run(["ps"]);
  expect(ps.stdout).toMatch(/^JOB .* MEMORY +SURE +NEED +LIMITS .*\n(first|second) .* \d\.\d\d +- /);
  expect(await sandbox().json(["ps"])).toMatchObject(
    ["first", "second"].map((id) => ({
      job_id: id,
      sure_cores: expect.any(Number),
      need_cores: null,
      cpu_shortfall: null,
    })),
  );
});

limitsTest("ps names a job that watch reports as short of CPU, and no other one", async () => {
  for (const id of ["live-7", "live-8"]) await sandbox().startJob(id, [], ["sleep", "600"]);
  const need = { cores: 0.4, sampleSeconds: 1, isWhileKeepingUp: true };
  const sharesOf = (key: string, isShort: boolean) => [key, { sureCores: 0.22, need, isShort }];
  using ledger = new Database(`${sandbox().state}/ledger.db`, { readonly: true });
  const keyOf = (id: string) =>
    (ledger.query("SELECT key FROM jobs WHERE job_id = ?").get(id) as { key: string }).key;
  const answers: Record<string, object> = {
    hindrances: { hindrances: {} },
    shares: {
      shares: Object.fromEntries([sharesOf(keyOf("live-7"), true), sharesOf(keyOf("live-8"), false)]),
    },
  };
  // In place of a watch, which needs minutes for a need.
  using _ = Bun.listen({
    unix: `${sandbox().state}/watch.sock`,
    socket: {
      data: (socket, bytes) => {
        socket.end(JSON.stringify({ ok: true, ...answers[JSON.parse(String(bytes)).request] }));
      },
    },
  });
  const { stdout, stderr } = await sandbox().run(["ps"]);
  expect(stdout).toMatch(/^live-7 .* 0\.22 +0\.40 /m);
  expect(stderr.split("\n").filter((line) => line.includes("is sure of"))).toEqual([
    "ffrtmp: live-7 is sure of 0.22 cores and needs 0.40: it will fall behind when the machine is full",
  ]);
  const [first, second] = await sandbox().json(["ps"]);
  expect(first).toMatchObject({ need_cores: 0.4, cpu_shortfall: expect.stringMatching(/^live-7 is sure/) });
  expect(second).toMatchObject({ sure_cores: 0.22, cpu_shortfall: null });
});

limitsTest(
  "policy explain says what a process would be sure of with each intent, and changes nothing",
  async () => {
    const box = new PolicyBox(sandbox());
    const loop = box.shell("loop");
    const pid = await box.run(loop, {}, "while :; do :; done");
    // Alone on a quiet machine, the process is sure of a whole core with any weight.
    for (let left = 2 * countCpus(); left > 0; left--) await box.run(loop, {}, "while :; do :; done");
    const cgroups = () => readFileSync(`/proc/${pid}/cgroup`, "utf8");
    const before = cgroups();
    const sureWith = async (intent: string): Promise<number> => {
      box.write(
        `intents: {}\nrules: [{name: all, match: {command: ${basename(loop)}}, intent: ${intent}}]\n`,
      );
      const explain = ["policy", "explain", "--pid", `${pid}`, "--file", box.file];
      const { stdout } = await sandbox().run(explain);
      expect(stdout).toMatch(/^sure of +\d\.\d\d cores as this job, when everything that runs now is busy$/m);
      return (await sandbox().json(explain)).sure_cores;
    };
    const [live, batch] = [await sureWith("live"), await sureWith("batch")];
    expect(live).toBeGreaterThan(0);
    expect(live).toBeGreaterThan(batch);
    expect(cgroups()).toBe(before);
  },
);

limitsTest("stats names a live job that needs more than it is sure of", async () => {
  const live = ["--intent", "live", "--cpu-weight", "1"];
  await sandbox().startJob("live", live, ["sh", "-c", "while :; do :; done"]);
  const stats = sandbox().start(["stats", "--interval", "200ms"], { stderr: "ignore" });
  let text = "";
  const decoder = new TextDecoder();
  const reading = (async () => {
    for await (const bytes of stats.stdout as ReadableStream<Uint8Array>)
      text += decoder.decode(bytes, { stream: true });
  })();
  await until("its need is known", () => /^live .* ~\d\.\d\d /m.test(text));
  // Against this weight its share is hardly anything.
  await sandbox().startJob("heavy", ["--cpu-weight", "10000"], ["sh", "-c", LOOPS]);
  await until("stats warns", () => /^live is sure of 0\.0\d cores and needs \d\.\d\d: it will/m.test(text));
  expect(text).not.toMatch(/^heavy is sure/m);
  stats.kill("SIGTERM");
  await reading;
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
