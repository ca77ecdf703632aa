import { afterAll, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lacksRoot, testIf } from "../../../test/support/sandbox.ts";
import { readSecret, writeAllPrivate, writePrivate } from "./privateFile.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

test("a key is written for its owner alone, also over a file that others could read", () => {
  const path = join(directory, "key");
  writeFileSync(path, "old", { mode: 0o644 });
  writePrivate(path, "new");
  expect([readFileSync(path, "utf8"), statSync(path).mode & 0o777]).toEqual(["new", 0o600]);
  expect(existsSync(`${path}.new`)).toBe(false);
});

testIf(lacksRoot())("a key for a group can be read by this group too", () => {
  const path = join(directory, "shared");
  writePrivate(path, "x", { gid: 12_345 });
  const { mode, gid } = statSync(path);
  expect([mode & 0o777, gid]).toEqual([0o640, 12_345]);
});

test("several files are written all or not at all, and no part of a key stays behind", () => {
  const key = join(directory, "node.nk");
  const taken = join(directory, "node.yaml");
  writePrivate(key, "old");
  mkdirSync(`${taken}.new/x`, { recursive: true });
  expect(() =>
    writeAllPrivate([
      [key, "new"],
      [taken, "text"],
    ]),
  ).toThrow();
  expect([readFileSync(key, "utf8"), existsSync(`${key}.new`), existsSync(taken)]).toEqual([
    "old",
    false,
    false,
  ]);
});

test("a secret that every user can read is not used", () => {
  const path = join(directory, "secret");
  writeFileSync(path, "x", { mode: 0o640 });
  expect(readSecret(path)).toBe("x");
  for (const mode of [0o644, 0o602]) {
    chmodSync(path, mode);
    expect(() => readSecret(path)).toThrow(
      `every user of this machine can use it (mode ${mode.toString(8)})`,
    );
  }
});
