import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { policySubject } from "../messages/subjects.ts";
import { DocumentFollower, type DocumentHub, type HubDocument } from "./documentFollower.ts";
import { DocumentKeeper } from "./documentKeeper.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ffrtmp-follow-"));
  mkdirSync(join(root, "etc"));
  writeFileSync(join(root, "etc/trusted"), "");
});
afterEach(() => rmSync(root, { recursive: true }));

/** A hub of several servers, of which the one that answers can lack what another one has stored. */
class SlowHub implements DocumentHub {
  #stored = { bytes: Buffer.from("first"), seq: 1 };
  #tell: (subject: string, seq: number) => void = () => {};
  reads = 0;
  isConnected = true;
  fault: string | undefined;

  async readDocument(subject: string): Promise<HubDocument | undefined> {
    this.reads++;
    if (this.fault !== undefined) throw new Error(this.fault);
    return subject === policySubject("stable") ? this.#stored : undefined;
  }

  followDocuments(_: readonly string[], onStored: (subject: string, seq: number) => void): void {
    this.#tell = onStored;
  }

  tell(seq: number, ring = "stable"): void {
    this.#tell(policySubject(ring), seq);
  }

  store(text: string, seq: number): void {
    this.#stored = { bytes: Buffer.from(text), seq };
  }
}

function follow(hub: SlowHub): { faults: string[]; placed(): string } {
  const keeper = new DocumentKeeper({
    ...{ node: "edge-1", ring: "stable", directory: join(root, "etc") },
    stateDirectory: join(root, "agent"),
  });
  const faults: string[] = [];
  new DocumentFollower("edge-1", hub, keeper, { changed() {}, fault: (text) => faults.push(text) }).start();
  return { faults, placed: () => readFileSync(join(root, "agent/policy.signed.json"), "utf8") };
}

/** Waits for the readings that have begun. */
async function settle(hub: SlowHub, reads: number): Promise<void> {
  for (let waits = 0; hub.reads < reads && waits < 1000; waits++) await Bun.sleep(5);
  await Bun.sleep(5);
}

test("a document is read once when it is stored", async () => {
  const hub = new SlowHub();
  const { placed, faults } = follow(hub);
  await settle(hub, 2);
  hub.store("second", 2);
  hub.tell(2);
  await settle(hub, 4);
  await Bun.sleep(150);
  expect([placed(), hub.reads, faults]).toEqual(["second", 4, []]);
});

test("where the server that answers lacks it, it is read until it is there", async () => {
  const hub = new SlowHub();
  const { placed, faults } = follow(hub);
  await settle(hub, 2);
  hub.tell(2);
  await settle(hub, 4);
  expect(placed()).toBe("first");
  hub.store("second", 2);
  await settle(hub, 6);
  expect([placed(), faults]).toEqual(["second", []]);
});

test("a policy of another ring is not read", async () => {
  const hub = new SlowHub();
  follow(hub);
  await settle(hub, 2);
  hub.tell(2, "canary");
  await Bun.sleep(20);
  expect(hub.reads).toBe(2);
});

test("a reading that the end of the connection interrupts is no fault, and any other failure is", async () => {
  const hub = new SlowHub();
  hub.fault = "no stream";
  const { faults } = follow(hub);
  await settle(hub, 1);
  hub.isConnected = false;
  hub.tell(2);
  await settle(hub, 2);
  expect(faults).toEqual(["cannot read the documents of the fleet: no stream"]);
});
