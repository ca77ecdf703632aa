import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchLedgerFile } from "./database.ts";
import { Ledger } from "./ledger.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-ledger-watch-"));
afterAll(() => rmSync(directory, { recursive: true }));

test("a write to the ledger is reported, one to another file is not", async () => {
  const path = join(directory, "ledger.db");
  const ledger = new Ledger(path, () => {});
  let writes = 0;
  const reported = Promise.withResolvers<void>();
  const watch = watchLedgerFile(path, () => {
    writes++;
    reported.resolve();
  });
  writeFileSync(join(directory, "other"), "1");
  await Bun.sleep(100);
  expect(writes).toBe(0);
  ledger.setNote("name", "value");
  await reported.promise;
  watch?.close();
});

test("a change of the inbox is reported, also of one that is created later", async () => {
  const state = join(directory, "later");
  mkdirSync(state);
  const path = join(state, "ledger.db");
  writeFileSync(path, "");
  for (const change of [
    () => mkdirSync(join(state, "inbox")),
    () => writeFileSync(join(state, "inbox/one.job"), "1"),
    () => renameSync(join(state, "inbox/one.job"), join(state, "inbox/one.done")),
  ]) {
    const reported = Promise.withResolvers<void>();
    const watch = watchLedgerFile(path, () => reported.resolve());
    // The runtime drops an event that comes while it starts to watch.
    await Bun.sleep(50);
    change();
    // An event loop without other work ends.
    const alive = setInterval(() => {}, 1000);
    await reported.promise;
    clearInterval(alive);
    watch?.close();
  }
});

test("a directory that is not there cannot be watched", () => {
  expect(watchLedgerFile(join(directory, "missing", "ledger.db"), () => {})).toBeUndefined();
});
