import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSigningKey, type SigningKey } from "../keys/signingKey.ts";
import type { DesiredBody } from "../messages/control.ts";
import { signDocument } from "../messages/signed.ts";
import { keep, NOTHING_KEPT } from "../trust/kept.ts";
import { type CordonFiles, readCordon } from "./cordon.ts";

let directory: string;
let files: CordonFiles;
const [operator, thief] = [createSigningKey(), createSigningKey()];
const AT = "2026-11-28T03:00:00.000Z";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ffrtmp-cordon-"));
  const [local, desired, trusted] = ["cordon.json", "desired.json", "trusted"].map((name) =>
    join(directory, name),
  ) as [string, string, string];
  files = { local, desired, trusted };
  writeFileSync(trusted, `# the operator\n${operator.publicKey}\n`);
});
afterEach(() => rmSync(directory, { recursive: true }));

function want(reason: string | null, { node = "edge-1", key = operator as SigningKey } = {}): void {
  const cordon = reason === null ? null : { reason };
  const body: DesiredBody = { v: 1, node, serial: 1, cordon, ring: null, by: "ops", at: AT };
  const kept = keep(NOTHING_KEPT, signDocument("node", body, key), 1);
  writeFileSync(files.desired, JSON.stringify(kept));
}

test("a node is not cordoned without a file", () => {
  expect(readCordon("edge-1", files)).toBeUndefined();
});

test("an operator cordons a node and ends it", () => {
  want("maintenance");
  expect(readCordon("edge-1", files)).toEqual({ from: "fleet", by: "ops", reason: "maintenance" });
  want(null);
  expect(readCordon("edge-1", files)).toBeUndefined();
});

test("root's cordon comes before what an operator wants", () => {
  want(null);
  writeFileSync(files.local, JSON.stringify({ v: 1, reason: "new disk", by: "root", at: AT }));
  expect(readCordon("edge-1", files)).toEqual({ from: "node", by: "root", reason: "new disk" });
});

test("a cordon of root that cannot be read is one", () => {
  writeFileSync(files.local, "{");
  expect(readCordon("edge-1", files)?.from).toBe("node");
});

test("a document of another node, or of a signer who is not trusted, cordons nothing", () => {
  want("maintenance", { node: "edge-2" });
  expect(readCordon("edge-1", files)).toBeUndefined();
  want("maintenance", { key: thief });
  expect(readCordon("edge-1", files)).toBeUndefined();
  writeFileSync(files.desired, "[]");
  expect(readCordon("edge-1", files)).toBeUndefined();
});
