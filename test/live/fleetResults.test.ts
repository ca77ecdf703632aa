import { afterEach, describe, expect } from "bun:test";
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { NodeConfigFile } from "../../src/fleet/nodeConfig.ts";
import { Ledger } from "../../src/ledger/ledger.ts";
import { locateState } from "../../src/ledger/location.ts";
import { CutProxy } from "../support/fleet/cutProxy.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { TestHub } from "../support/fleet/natsServer.ts";
import { someJob, someProcess, someResult } from "../support/jobs.ts";
import { Keys, leakIn, secretArguments } from "../support/plantedKeys.ts";
import { eventually, FFRTMP, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const testWithHub = testIf(lacksNatsServer());
const DEADLINE_MS = 120_000;
const LATE_REQUEST_MS = 6000;
/** In which a server stores a message. */
const SETTLE_MS = 300;

let open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open) await each.close();
  open = [];
});

let pids = 8_000_000;
/** The node that runs real jobs. */
const WITH_JOBS = "edge-0";

/** A node with its own state directory, whose agent reaches the hub through a link. */
class TestNode {
  readonly name: string;
  readonly state: string;
  readonly link: CutProxy;
  /** The keys of the results in its ledger, in their order. */
  readonly keys: string[] = [];
  readonly #config: string;
  readonly #log: string;
  #agent: Bun.Subprocess | undefined;

  constructor(hub: TestHub, name: string) {
    this.name = name;
    // The sandbox clears up after the jobs of its own state directory.
    this.state = name === WITH_JOBS ? sandbox().state : sandbox().path(`state-${name}`);
    this.link = new CutProxy(hub.port);
    open.push(this.link);
    this.#config = sandbox().path(`${name}.yaml`);
    this.#log = sandbox().path(`${name}.log`);
    writeFileSync(this.#log, "");
    const urls = [`nats://127.0.0.1:${this.link.port}`];
    const config: NodeConfigFile = {
      v: 1,
      node: name,
      hub: urls,
      nkey_file: hub.seedFile(name),
      state_dir: sandbox().path(`agent-${name}`),
    };
    writeFileSync(this.#config, stringify(config));
  }

  get ledgerFile(): string {
    return locateState(this.state, {}).ledger;
  }

  record(count: number): void {
    const ledger = new Ledger(this.ledgerFile, () => {});
    for (let index = 0; index < count; index++) {
      const job = someJob({ jobId: `job-${++pids}`, process: someProcess({ pid: pids }) });
      ledger.register(job);
      ledger.recordResult(job, someResult(job));
      this.keys.push(job.key);
    }
    ledger.close();
  }

  start(...flags: string[]): void {
    const args = ["fleet", "agent", "--config", this.#config, "--state-path", this.state, ...flags];
    const cmd = ["sh", "-c", 'exec "$@" 2>>"$0"', this.#log, FFRTMP, ...args];
    this.#agent = sandbox().spawn(cmd, { stdout: "ignore", stderr: "ignore" });
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.#agent?.kill(signal);
    await this.#agent?.exited;
    return this.#agent?.exitCode ?? null;
  }

  get log(): string {
    return readFileSync(this.#log, "utf8");
  }
}

async function startHub(...names: string[]): Promise<{ hub: TestHub; nodes: TestNode[] }> {
  const hub = new TestHub(sandbox(), names);
  open.push(hub);
  await hub.start();
  return { hub, nodes: names.map((name) => new TestNode(hub, name)) };
}

async function keysOnHub(hub: TestHub, node: string, ledgerId?: string): Promise<string[]> {
  const messages = await hub.results(node);
  return messages
    .filter((message) => ledgerId === undefined || message.ledger_id === ledgerId)
    .flatMap(({ results }) => results.map(({ key }) => key));
}

/** Waits until the hub has as many results as a node, and compares them. */
async function expectAllOnHub(hub: TestHub, { name, keys }: TestNode): Promise<void> {
  let found: string[] = [];
  await until(
    `the hub has all ${keys.length} results of ${name}`,
    async () => {
      found = await keysOnHub(hub, name);
      return found.length >= keys.length;
    },
    DEADLINE_MS,
  );
  expect(found).toEqual(keys);
}

/** Returns numbers below a bound that look random, and are the same in each run. */
function numbersFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe("ffrtmp fleet agent", () => {
  testWithHub("sends the result of a real job, and shows the node and its jobs", async () => {
    const { hub, nodes } = await startHub(WITH_JOBS);
    const [node] = nodes as [TestNode];
    expect((await sandbox().run(["run", "--job-id", "seven", "--", "sh", "-c", "exit 7"])).code).toBe(7);
    const wrapper = sandbox().start(["run", "--job-id", "sleeper", "--", "sleep", "600"]);
    // A command of this user moves what a plain run has left in the inbox.
    await sandbox().pidOf("sleeper");
    // Its first report has both, and a later one would be 10 s later.
    node.start();
    const [message] = await eventually("the hub has the result", async () => {
      const found = await hub.results(WITH_JOBS);
      return found.length > 0 ? found : undefined;
    });
    expect(message?.results).toMatchObject([
      { seq: 1, job_id: "seven", exit_code: 7, exit_evidence: "parent" },
    ]);
    expect(message?.results[0]).not.toHaveProperty("command");
    const shown = await eventually("the hub has the job", async () => {
      const state = await hub.node(WITH_JOBS);
      return state?.outbox.sent === 1 && state.jobs.length === 1 ? state : undefined;
    });
    expect(shown).toMatchObject({
      node: WITH_JOBS,
      ledger_id: message?.ledger_id,
      jobs: [{ job: "sleeper", mode: "run", state: "running" }],
      outbox: { seq: 1, state: "current" },
    });
    sandbox().adopt(shown.jobs[0]?.pid ?? 0);
    // The end of the agent changes nothing for the job.
    expect(await node.end("SIGTERM")).toBe(0);
    expect(wrapper.exitCode).toBeNull();
  });

  testWithHub("sends no secret of a command, also not with --with-commands", async () => {
    const { hub, nodes } = await startHub(WITH_JOBS);
    const [node] = nodes as [TestNode];
    const argv = secretArguments(new Keys());
    await sandbox().run(["run", "--job-id", "ended", "--", "sh", "-c", "exit 7", ...argv]);
    sandbox().start(["run", "--job-id", "running", "--", "sh", "-c", "sleep 600; exit 1", ...argv]);
    sandbox().adopt(await sandbox().pidOf("running"));
    node.start("--with-commands");
    const sent = await eventually("the hub has both jobs", async () => {
      const [results, state] = [await hub.results(WITH_JOBS), await hub.node(WITH_JOBS)];
      return results.length > 0 && state?.jobs.length === 1 ? [...results, state] : undefined;
    });
    const text = JSON.stringify(sent, null, 1);
    expect(text).toContain("rtmp://live.example.com/app/***");
    expect({ sent: leakIn(text), logged: leakIn(node.log) }).toEqual({ sent: undefined, logged: undefined });
    expect(await node.end("SIGTERM")).toBe(0);
  });

  testWithHub("brings each result to the hub once through cuts, lost answers and kills of both", async () => {
    const { hub, nodes } = await startHub("edge-1", "edge-2", "edge-3");
    const random = numbersFrom(20_261_128);
    for (const node of nodes) {
      node.record(250);
      node.start();
    }
    for (let round = 0; round < 14; round++) {
      const node = nodes[random(nodes.length)] as TestNode;
      for (const each of nodes) each.record(1 + random(30));
      const fault = round % 6;
      if (fault === 0) await node.end("SIGKILL").then(() => node.start());
      else if (fault === 1) node.link.cut();
      else if (fault === 2) node.link.loseAnswers();
      else if (fault === 3) await hub.kill().then(() => hub.start());
      else if (fault === 4) for (const each of nodes) each.link.cut();
      else await hub.freeze(300);
      await Bun.sleep(random(600));
      // A connection that has lost bytes of the server's is not usable any more.
      if (fault === 2) node.link.cut();
      for (const each of nodes) each.link.mend();
    }
    for (const node of nodes) {
      node.record(1);
      await expectAllOnHub(hub, node);
    }
  });

  testWithHub("stores no result twice whose request arrives after it was sent again", async () => {
    const { hub, nodes } = await startHub("edge-1");
    const [node] = nodes as [TestNode];
    node.record(1);
    node.start();
    await expectAllOnHub(hub, node);
    // Longer than the agent takes to connect again.
    node.link.delayRequests(LATE_REQUEST_MS);
    node.record(3);
    await until("the agent has sent them", () => node.link.hasHeld("Nats-Expected-Last-Subject-Sequence"));
    node.link.cut();
    node.link.mend();
    node.record(1);
    await expectAllOnHub(hub, node);
    await until("the late request has arrived", () => node.link.held === 0);
    await Bun.sleep(SETTLE_MS);
    await expectAllOnHub(hub, node);
  });

  testWithHub("sends again what a restored hub has lost, or starts from the beginning", async () => {
    const { hub, nodes } = await startHub("edge-1");
    const [node] = nodes as [TestNode];
    node.record(30);
    node.start();
    await expectAllOnHub(hub, node);
    await hub.kill();
    hub.backUp();
    await hub.start();
    node.record(30);
    await expectAllOnHub(hub, node);
    for (const left of ["backup", "nothing"] as const) {
      await hub.kill();
      hub.restore(left);
      await hub.start();
      // Without a new result.
      await expectAllOnHub(hub, node);
    }
    await hub.kill();
    await until("the agent notices", () => node.log.split("is lost").length === 5);
    expect(await node.end("SIGTERM")).toBe(0);
  });

  testWithHub(
    "refuses a ledger that was restored from a backup, says so, and starts from the beginning on request",
    async () => {
      const { hub, nodes } = await startHub("edge-1");
      const [node] = nodes as [TestNode];
      node.record(5);
      const backup = sandbox().path("backup");
      cpSync(node.state, backup, { recursive: true });
      node.record(5);
      node.start();
      await expectAllOnHub(hub, node);
      await node.end("SIGKILL");
      rmSync(node.state, { recursive: true });
      mkdirSync(node.state, { mode: 0o750 });
      for (const name of ["ledger.db", "ledger.db-wal"])
        copyFileSync(join(backup, name), join(node.state, name));
      const onHub = node.keys.splice(5);
      // With the numbers of the results that only the hub has, and higher ones.
      node.record(7);
      node.start();
      const { outbox } = await eventually("the hub shows the refusal", async () => {
        const state = await hub.node("edge-1");
        return state?.outbox.state === "diverged" ? state : undefined;
      });
      expect(outbox).toMatchObject({
        seq: 12,
        sent: null,
        why: expect.stringContaining("restored from a backup"),
      });
      expect(node.log).toContain("no result is sent: the hub has results of this ledger up to number 10");
      const before = [...node.keys.slice(0, 5), ...onHub];
      expect(await keysOnHub(hub, "edge-1")).toEqual(before);
      const { code, stdout } = await sandbox().run(["fleet", "resend", "--all", "--state-path", node.state]);
      expect([code, stdout]).toEqual([
        0,
        "the agent sends all results of this ledger again, as those of a new ledger\n",
      ]);
      await until("the hub has the results of the new ledger", async () => {
        return (await keysOnHub(hub, "edge-1")).length === before.length + node.keys.length;
      });
      expect(await keysOnHub(hub, "edge-1")).toEqual([...before, ...node.keys]);
    },
  );

  testWithHub("sends nothing without encryption to a hub that is configured with it", async () => {
    const { hub, nodes } = await startHub("edge-1");
    const [node] = nodes as [TestNode];
    node.record(1);
    const file = sandbox().path("edge-1.yaml");
    writeFileSync(file, readFileSync(file, "utf8").replace("nats://", "tls://"));
    node.start();
    await until("the agent says why", () => node.log.includes("server does not support 'tls'"));
    expect(await hub.node("edge-1")).toBeUndefined();
    expect(await node.end("SIGTERM")).toBe(0);
  });
});
