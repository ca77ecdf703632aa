import { Database } from "bun:sqlite";
import { describe, expect, it } from "bun:test";
import { dirname, join } from "node:path";
import { someLaunch, writeLaunch } from "../../../test/support/inbox.ts";
import { someJob, someProcess, someResult } from "../../../test/support/jobs.ts";
import { type Opened, useLedgers } from "../../../test/support/ledgers.ts";
import type { RunningJob } from "../../jobs/model/job.ts";
import { realHost } from "../../linux/host.ts";
import { nodeMessage } from "../messages/node.ts";
import { NodeLedger, resultLine } from "./nodeLedger.ts";
import { describeNode, type NodeFacts, readMachine, type SenderState } from "./nodeState.ts";
import { StatePublisher } from "./statePublisher.ts";

const { open } = useLedgers();
const host = realHost();
const SECRET = "rtmp://live.example/app/s3cr3tk3y";
const NOTHING_SENT: SenderState = { sent: undefined, isDiverged: false, fault: undefined };

function factsWith(different: Partial<NodeFacts> = {}): NodeFacts {
  const config = {
    v: 1 as const,
    node: "edge-1",
    hub: ["tls://hub:1"],
    nkeyFile: "/k",
    caFile: undefined,
    labels: { site: "ber" },
    pools: ["live"],
    ring: "stable",
    directory: "/etc/ffrtmp/fleet",
    stateDirectory: "/var/lib/ffrtmp-fleet",
  };
  return { host, bootId: "boot", config, machine: readMachine(host), withCommands: false, ...different };
}

function ledgerOf({ path }: Opened, withCommands = false): NodeLedger {
  return new NodeLedger(path, withCommands, () => {});
}

let pids = 7_000_000;

function streamingJob(different: Partial<RunningJob> = {}): RunningJob {
  const command = ["ffmpeg", "-i", "in.mkv", SECRET];
  return someJob({ jobId: `stream-${++pids}`, process: someProcess({ pid: pids }), command, ...different });
}

describe("the state of a node", () => {
  it("has its open jobs, those of plain launches too, and moves nothing from the inbox", () => {
    const opened = open();
    const job = streamingJob({
      tenant: "acme",
      labels: { channel: "7" },
      outcomes: [
        { limit: "cpu.max", outcome: "applied", wanted: "1", actual: "1" },
        { limit: "io.max", outcome: "refused", wanted: "1", because: "EACCES" },
      ],
    });
    opened.ledger.register(job);
    const [running, ended] = [someLaunch(), someLaunch()];
    writeLaunch(opened.path, running, "running");
    writeLaunch(opened.path, ended);
    const before = Array.from(new Bun.Glob("**").scanSync(dirname(opened.path))).sort();
    const message = describeNode(factsWith(), ledgerOf(opened), { ...NOTHING_SENT, sent: 0 });
    expect(nodeMessage.parse(message)).toEqual(nodeMessage.parse(JSON.parse(JSON.stringify(message))));
    expect(message).toMatchObject({
      node: "edge-1",
      ledger_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      labels: { site: "ber" },
      pools: ["live"],
      outbox: { seq: 0, sent: 0, oldest_ms: null, state: "current", why: null },
      more: 0,
      fault: null,
    });
    expect(message.jobs.map((each) => each.job).sort()).toEqual([job.jobId, running.job.jobId].sort());
    expect(message.jobs.find((each) => each.job === job.jobId)).toMatchObject({
      tenant: "acme",
      labels: { channel: "7" },
      limits: { applied: ["cpu.max"], partial: [], refused: ["io.max"], unsupported: [] },
    });
    expect(Array.from(new Bun.Glob("**").scanSync(dirname(opened.path))).sort()).toEqual(before);
  });

  it("says what of the results waits, and that a cloned ledger is refused", () => {
    const opened = open();
    const job = streamingJob({ slaEligible: true });
    opened.ledger.register(job);
    const endMs = Date.now() - 5000;
    opened.ledger.recordResult(job, someResult(job, { endMs }));
    const outboxFor = (sender: Partial<SenderState>) =>
      describeNode(factsWith(), ledgerOf(opened), { ...NOTHING_SENT, ...sender });
    expect(outboxFor({ sent: 0 })).toMatchObject({
      outbox: { seq: 1, sent: 0, oldest_ms: endMs, state: "sending" },
      totals: { jobs: 1, compliant: 1, violations: {} },
    });
    expect(outboxFor({ sent: 1 }).outbox).toMatchObject({ oldest_ms: null, state: "current" });
    expect(outboxFor({ fault: "no" }).outbox).toMatchObject({ sent: null, state: "failing", why: "no" });
    expect(outboxFor({ isDiverged: true, fault: "cloned" }).outbox).toMatchObject({
      state: "diverged",
      why: "cloned",
    });
  });

  it("has no command lines, unless they are asked for, and then without secrets", () => {
    const opened = open();
    const job = streamingJob();
    opened.ledger.register(job);
    const state = (withCommands: boolean) =>
      JSON.stringify(describeNode(factsWith({ withCommands }), ledgerOf(opened), NOTHING_SENT));
    expect(state(false)).not.toContain("ffmpeg");
    expect(state(true)).toContain('"command":["ffmpeg","-i","in.mkv","rtmp://live.example/app/***"]');
    opened.ledger.recordResult(job, someResult(job));
    const line = (withCommands: boolean) =>
      ledgerOf(opened).read((outbox) =>
        JSON.stringify(outbox.after(0, 1).map((each) => resultLine(each, withCommands))),
      );
    expect(line(false)).not.toMatch(/ffmpeg|command|s3cr3t/);
    expect(line(true)).toContain('"command":["ffmpeg","-i","in.mkv","rtmp://live.example/app/***"]');
  });

  it("has room for many jobs, and counts the others", () => {
    const opened = open();
    const longLabel = { a: "x".repeat(2000) };
    for (let index = 0; index < 210; index++) opened.ledger.register(streamingJob());
    const first = describeNode(factsWith(), ledgerOf(opened), NOTHING_SENT);
    expect([first.jobs.length, first.more]).toEqual([200, 10]);
    const other = open();
    for (let index = 0; index < 150; index++) other.ledger.register(streamingJob({ labels: longLabel }));
    const second = describeNode(factsWith(), ledgerOf(other), NOTHING_SENT);
    expect(second.jobs.length + second.more).toBe(150);
    expect(second.more).toBeGreaterThan(0);
    expect(JSON.stringify(second).length).toBeLessThan(256 * 1024);
  });

  it("names the fault of a ledger that cannot be read", () => {
    const opened = open();
    const db = new Database(opened.path);
    db.run("DROP TABLE outbox");
    db.close();
    const message = describeNode(factsWith(), ledgerOf(opened), NOTHING_SENT);
    expect(nodeMessage.parse(message)).toMatchObject({
      ledger_id: null,
      fault: expect.stringMatching(
        /^cannot read the ledger .*: it has no numbered results\. Let this ffrtmp update it/,
      ),
      outbox: { state: "failing" },
      jobs: [],
    });
  });
});

describe("a ledger that does not exist yet", () => {
  it("is said to, for the report and for the log alike", () => {
    const ledger = new NodeLedger("/nonexistent/ledger.db", false, () => {});
    const { fault } = describeNode(factsWith(), ledger, NOTHING_SENT);
    expect(fault).toContain("there is no ledger /nonexistent/ledger.db yet: the first job creates it");
    expect(() => ledger.readSource(() => 0)).toThrow(fault as string);
  });
});

describe("the state is published", () => {
  it("when it has changed, and not for a write that changes nothing of it", () => {
    const opened = open();
    const published: string[] = [];
    const now = spyOnClock();
    try {
      const publisher = new StatePublisher(factsWith(), ledgerOf(opened), (text) => published.push(text));
      const updateAfter = (ms: number, sender = NOTHING_SENT) => {
        now.ms += ms;
        publisher.update(sender);
        return published.length;
      };
      expect(updateAfter(0)).toBe(1);
      opened.ledger.setNote("name", "value");
      expect(updateAfter(11_000)).toBe(1);
      const job = streamingJob();
      opened.ledger.register(job);
      expect(updateAfter(1000)).toBe(1);
      expect(updateAfter(10_000)).toBe(2);
      expect(updateAfter(11_000)).toBe(2);
      // The sign of life.
      expect(updateAfter(50_000)).toBe(3);
      expect(updateAfter(11_000, { ...NOTHING_SENT, sent: 0 })).toBe(4);
      publisher.forget();
      expect(updateAfter(1, { ...NOTHING_SENT, sent: 0 })).toBe(5);
    } finally {
      now.restore();
    }
  });
});

/** Replaces the clock of intervals. */
function spyOnClock(): { ms: number; restore(): void } {
  const original = performance.now;
  const clock = {
    ms: 1000,
    restore: () => {
      performance.now = original;
    },
  };
  performance.now = () => clock.ms;
  return clock;
}

it("has a ledger that may not be reached as its fault, and the agent goes on", () => {
  // An error of stat(2), as a directory that may not be searched is for others than root.
  const path = join("/tmp", "x".repeat(300), "ledger.db");
  const ledger = new NodeLedger(path, false, () => {});
  expect(ledger.stamp()).toBe("");
  expect(describeNode(factsWith(), ledger, NOTHING_SENT)).toMatchObject({
    ledger_id: null,
    fault: expect.stringContaining(path),
  });
});
