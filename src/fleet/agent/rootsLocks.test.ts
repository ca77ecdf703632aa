import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import type { Locks } from "../dispatch/locks.ts";
import { readLocks } from "../dispatch/readLocks.ts";
import { createSigningKey } from "../keys/signingKey.ts";
import { RootsLocks } from "./rootsLocks.ts";

const KEY = createSigningKey().publicKey;
let directory: string;
let accept: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ffrtmp-locks-"));
  accept = join(directory, "accept.yaml");
  mkdirSync(join(directory, "templates.d"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function allow(change: object = {}): void {
  const file = { v: 1, pools: ["live"], slots: 2, as: "nobody", trusted: [KEY], ...change };
  writeFileSync(accept, stringify(file), { mode: 0o644 });
}

function template(name: string, text: string): void {
  writeFileSync(join(directory, "templates.d", `${name}.yaml`), text, { mode: 0o644 });
}

/** Returns what an agent knows that was started now, as it goes through the variable of its second start. */
function startNow(renew: () => Locks | undefined): RootsLocks {
  return new RootsLocks(accept, JSON.parse(JSON.stringify(readLocks(accept))), renew);
}

test("what root allows reaches the second start as it is, with the faults of each file", () => {
  const never = () => {
    throw new Error("nothing has changed");
  };
  expect(startNow(never).acceptance()).toBeUndefined();
  allow();
  template("hls", 'command: ["true"]\n');
  template("odd", "command: [sh, -c, x]\n");
  const locks = startNow(never);
  expect(locks.acceptance()).toEqual({
    pools: ["live"],
    slots: 2,
    as: "nobody",
    trusted: new Set([KEY]),
    signedTemplates: false,
  });
  expect(locks.templates).toEqual(["hls", "odd"]);
  expect(locks.faultOfTemplate("hls")).toBeNull();
  expect(locks.faultOfTemplate("odd")).toContain('"sh" is a shell');
  for (const none of ["none", "constructor"]) expect(locks.faultOfTemplate(none)).toBeUndefined();
  allow({ slots: "x" });
  expect(() => startNow(never).acceptance()).toThrow(/accept.yaml:\d+:8: slots/);
});

test.each([
  ["root's permission", () => allow({ slots: 3 })],
  ["its end", () => rmSync(accept)],
  ["a new template", () => template("thumb", 'command: ["true"]\n')],
  ["another text in a template", () => template("hls", 'command: ["false"]\n')],
  ["a template that is gone", () => rmSync(join(directory, "templates.d", "hls.yaml"))],
  ["who can change a file", () => chmodSync(accept, 0o666)],
  ["who can change the templates", () => chmodSync(join(directory, "templates.d"), 0o777)],
])("a change of %s is read again", (_, change) => {
  allow();
  template("hls", 'command: ["true"]\n');
  let reads = 0;
  const locks = startNow(() => {
    reads++;
    return readLocks(accept);
  });
  locks.acceptance();
  expect(reads).toBe(0);
  change();
  for (const _time of [1, 2])
    try {
      locks.acceptance();
    } catch {
      // Some of these are faults.
    }
  expect(reads).toBe(1);
});

test("a node whose agent cannot read a change takes no job", () => {
  allow();
  const locks = startNow(() => undefined);
  allow({ slots: 3 });
  expect(() => locks.acceptance()).toThrow("cannot be read");
});
