import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
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

test("a directory that is not there cannot be watched", () => {
  expect(watchLedgerFile(join(directory, "missing", "ledger.db"), () => {})).toBeUndefined();
});
