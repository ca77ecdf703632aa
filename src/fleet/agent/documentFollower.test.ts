import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { policySubject } from "../messages/subjects.ts";
import { DocumentFollower, type DocumentHub } from "./documentFollower.ts";
import { DocumentKeeper } from "./documentKeeper.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ffrtmp-follow-"));
  mkdirSync(join(root, "etc"));
  writeFileSync(join(root, "etc/trusted"), "");
});
afterEach(() => rmSync(root, { recursive: true }));

/** A hub that tells its subscribers before it stores. */
class SlowHub implements DocumentHub {
  #stored = "first";
  #tell: (subject: string, bytes: Uint8Array) => void = () => {};
  reads = 0;
  isConnected = true;
  fault: string | undefined;

  async readDocument(subject: string): Promise<Uint8Array | undefined> {
    this.reads++;
    if (this.fault !== undefined) throw new Error(this.fault);
    return subject === policySubject("stable") ? Buffer.from(this.#stored) : undefined;
  }

  followDocuments(_: readonly string[], onDocument: (subject: string, bytes: Uint8Array) => void): void {
    this.#tell = onDocument;
  }

  tell(text: string): void {
    this.#tell(policySubject("stable"), Buffer.from(text));
  }

  store(text: string): void {
    this.#stored = text;
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

test("a document that is told before it is stored is read when it is", async () => {
  const hub = new SlowHub();
  const { placed, faults } = follow(hub);
  await settle(hub, 2);
  hub.tell("second");
  await settle(hub, 4);
  expect(placed()).toBe("first");
  hub.store("second");
  await settle(hub, 6);
  expect([placed(), faults]).toEqual(["second", []]);
});

test("a document that the hub refused after it was told is not placed", async () => {
  const hub = new SlowHub();
  const { placed } = follow(hub);
  await settle(hub, 2);
  hub.tell("refused");
  await settle(hub, 6);
  expect(placed()).toBe("first");
});

test("a reading that the end of the connection interrupts is no fault, and any other failure is", async () => {
  const hub = new SlowHub();
  hub.fault = "no stream";
  const { faults } = follow(hub);
  await settle(hub, 1);
  hub.isConnected = false;
  hub.tell("second");
  await settle(hub, 2);
  expect(faults).toEqual(["cannot read the documents of the fleet: no stream"]);
});
