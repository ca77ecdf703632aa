import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { randomFrom } from "../chaos/random.ts";
import { FleetHub } from "../support/fleet/fleetHub.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { lacksRunner } from "../support/fleet/runnerNode.ts";
import { PROGRAMS, WholeNode } from "../support/fleet/wholeNode.ts";
import { lacksCommand, testIf, until, useSandbox } from "../support/sandbox.ts";

// From `fleet submit` to `fleet results`, with all programs, real jobs of ffmpeg and kills of everything but these.

const sandbox = useSandbox();

const JOBS = 150;
const NODES = ["edge-1", "edge-2", "edge-3"];
const PATIENCE_MS = 240_000;

interface ResultLine {
  job_id: string;
  node: string;
  ending: string;
  exit_code: number | null;
  labels: Record<string, string>;
}

/** What job N asks for, and how it ends. */
function jobOf(number: number): {
  id: string;
  template: string;
  params: Record<string, unknown>;
  code: number;
} {
  const [id, code] = [`job-${number}`, number % 5 === 0 ? 1 + (number % 7) : 0];
  if (number % 10 === 3) return { id, template: "broken", params: {}, code: 9 };
  return { id, template: "encode", params: { width: 32 + 2 * (number % 16), code }, code };
}

testIf(lacksNatsServer() ?? lacksRunner() ?? lacksCommand("ffmpeg"))(
  "150 jobs on three nodes run once each and have the right results, whatever is killed",
  async () => {
    const seed = Number(process.env["FFRTMP_CHAOS_SEED"] ?? Date.now() % 2 ** 31);
    const random = randomFrom(seed);
    const hub = new FleetHub(sandbox());
    await hub.must("init", `127.0.0.1:${hub.port}`);
    let server = await hub.up();
    const trusted = [(await hub.must("key", "jobs")).trim()];
    const nodes = NODES.map((name) => new WholeNode(sandbox(), name));
    for (const node of nodes) {
      writeEncoder(node);
      node.allow({ trusted, slots: 3 });
      await node.join((await hub.invite(node.name, "live")).text);
      node.start();
    }
    const jobs = Array.from({ length: JOBS }, (_, number) => jobOf(number));
    const file = sandbox().path("jobs.json");
    writeFileSync(file, jobs.map(({ code: _, ...job }) => `${JSON.stringify(job)}\n`).join(""));
    await hub.must("submit", "--pool", "live", "--label", "batch=7", "--from", file);

    const kills = { agent: 0, runner: 0, watch: 0, observer: 0, server: 0 };
    const started = () => nodes.flatMap((node) => node.listStarts());
    const endMs = performance.now() + PATIENCE_MS;
    while (started().length < JOBS && performance.now() < endMs) {
      await Bun.sleep(random.between(50, 400));
      // A program stays dead for a while: without watch, jobs have observers of their own.
      for (const each of nodes) if (random.happens(0.4)) each.start();
      const node = random.oneOf(nodes);
      const victim = random.between(0, 15);
      const [observer] = victim < 8 ? await node.observers() : [];
      if (victim === 15 || (kills.server === 0 && started().length > JOBS / 3)) {
        process.kill(server.serverPid, "SIGKILL");
        await server.process.exited;
        await Bun.sleep(random.between(0, 1000));
        server = await hub.up();
        kills.server++;
      } else if (observer !== undefined) {
        tryToKill(observer);
        kills.observer++;
      } else {
        const name = random.oneOf(PROGRAMS);
        if (await node.kill(name)) kills[name]++;
      }
    }
    for (const node of nodes) node.start();
    const read = async (): Promise<ResultLine[]> => {
      const { code, stdout } = await hub.run("results", "--json", "--limit", "1000");
      const all: ResultLine[] = code === 0 ? JSON.parse(stdout) : [];
      return all.filter(({ labels }) => labels["fleet_job"] !== undefined);
    };
    const explain = () => `seed ${seed}, kills ${JSON.stringify(kills)}\n${logsOf(nodes)}`;
    try {
      await until("the hub has all results", async () => (await read()).length >= JOBS, PATIENCE_MS);
    } catch (error) {
      throw new Error(explain(), { cause: error });
    }
    const results = await read();

    // Each start has written a line, before anything else.
    const ids = jobs.map(({ id }) => id).sort();
    expect(started().sort(), explain()).toEqual(ids.map((id) => `${id} 1`).sort());
    expect(results.map(({ job_id }) => job_id).sort(), explain()).toEqual(ids.map((id) => `${id}.1`).sort());
    const codes = new Map(jobs.map(({ id, code }) => [`${id}.1`, code]));
    const wrong = results.filter(
      ({ job_id, exit_code }) => exit_code !== null && exit_code !== codes.get(job_id),
    );
    expect(wrong, explain()).toEqual([]);
    // An end that was not observed is unknown. That needs the death of an observer and of watch.
    const unknown = results.filter(({ exit_code }) => exit_code === null);
    for (const { ending } of unknown)
      expect(["unobserved", "exit-unknown", "exit_unknown"]).toContain(ending);
    expect(unknown.length, explain()).toBeLessThan(JOBS / 3);
    // An observer of its own is rare, because watch takes jobs in the background over.
    const { observer: _, ...others } = kills;
    for (const [name, count] of Object.entries(others))
      expect(count, `${name}: ${explain()}`).toBeGreaterThan(0);
    // Each node had a part of the work.
    expect(new Set(results.map(({ node }) => node)).size, explain()).toBe(NODES.length);
    console.info(
      `fleet dispatch: seed ${seed}, kills ${JSON.stringify(kills)}, ${unknown.length} unknown ends`,
    );
  },
);

testIf(lacksNatsServer() ?? lacksRunner())(
  "a template that the operator has signed reaches a node whose root accepts such templates, and no other",
  async () => {
    const hub = await FleetHub.start(sandbox());
    const trusted = [(await hub.must("key", "jobs")).trim()];
    const nodes = ["open", "closed"].map((name) => new WholeNode(sandbox(), name));
    for (const node of nodes) {
      node.allow({ trusted, slots: 3, signed_templates: node.name === "open" });
      await node.join((await hub.invite(node.name, "live")).text);
      node.start();
    }
    const template = sandbox().path("env.yaml");
    writeFileSync(template, "command: [env]\n");
    // The operator's command has a word more than the others.
    const push = await sandbox().run(["fleet", "template", "push", "--dir", hub.directory, template]);
    expect([push.code, push.stderr]).toEqual([0, ""]);
    for (const id of ["a", "b", "c"]) await hub.must("submit", "env", "--pool", "live", "--id", id);
    const results = async (): Promise<ResultLine[]> => {
      const { code, stdout } = await hub.run("results", "--json");
      const all: ResultLine[] = code === 0 ? JSON.parse(stdout) : [];
      return all.filter(({ labels }) => labels["fleet_job"] !== undefined);
    };
    await until("the jobs have ended", async () => (await results()).length === 3, PATIENCE_MS);
    for (const result of await results()) expect(result).toMatchObject({ node: "open", exit_code: 0 });
  },
);

/** A program of root's that records its start, encodes in real time, and ends with a code. */
function writeEncoder(node: WholeNode): void {
  const program = `${node.directory}/encode`;
  writeFileSync(
    program,
    `#!/bin/sh\necho "$FFRTMP_JOB $FFRTMP_ATTEMPT" >> ${node.starts}\ncode=$1\nshift\nffmpeg "$@" || exit 100\nexit "$code"\n`,
    { mode: 0o755 },
  );
  const source = "testsrc=duration=0.6:size={width}x36:rate=10";
  node.template("encode", {
    command: [
      ...[
        program,
        "{code}",
        "-hide_banner",
        "-loglevel",
        "error",
        "-nostdin",
        "-re",
        "-f",
        "lavfi",
        "-i",
        source,
      ],
      ...["-c:v", "mpeg4", "-f", "mp4", `${node.out}/{job}.{attempt}.mp4`],
    ],
    params: {
      width: { type: "number", min: 16, max: 640, whole: true },
      code: { type: "number", min: 0, max: 50, whole: true },
    },
    limits: { cpu_quota: 200 },
  });
  // Fails on purpose: ffmpeg has no such file, and the program of root's turns that into a code of its own.
  const broken = `${node.directory}/broken`;
  writeFileSync(
    broken,
    `#!/bin/sh\necho "$FFRTMP_JOB $FFRTMP_ATTEMPT" >> ${node.starts}\nffmpeg -nostdin -i /nonexistent -f null - || exit 9\n`,
    { mode: 0o755 },
  );
  node.template("broken", { command: [broken] });
}

function tryToKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Its job has ended meanwhile.
  }
}

function logsOf(nodes: readonly WholeNode[]): string {
  return nodes.map(({ name, log }) => `${name}:\n${readFileSync(log, "utf8").slice(-4000)}`).join("\n");
}
