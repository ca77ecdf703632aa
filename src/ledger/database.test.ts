import { Database } from "bun:sqlite";
import { describe, expect, it } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { someJob } from "../../test/support/jobs.ts";
import { useLedgers } from "../../test/support/ledgers.ts";

const { freshDirectory, open } = useLedgers();

describe("a ledger file", () => {
  it("that is damaged while it is open is set aside completely, and a new one is created", () => {
    const { ledger, path, messages } = open();
    ledger.register(someJob());
    for (const name of readdirSync(join(path, "..")).filter((each) => each.startsWith("ledger.db")))
      writeFileSync(join(path, "..", name), "damage ".repeat(2000));
    const { ledger: next, messages: messagesNext } = open(join(path, "../.."));
    expect(messagesNext[0]).toMatch(/is damaged \(.*it was set aside as \S+ledger\.db\.damaged-\d{4}-/);
    expect(next.openJobs()).toEqual([]);
    next.register(someJob());
    expect(messages).toEqual([]);
    const aside = readdirSync(join(path, "..")).find((name) => /\.damaged-[^/]*Z$/.test(name)) as string;
    expect(readFileSync(join(path, "..", aside), "utf8")).toStartWith("damage damage");
  });

  it("of a newer schema, or of another program, stays unchanged to the byte", () => {
    for (const [sql, reason] of [
      [
        "PRAGMA user_version = 77; CREATE TABLE jobs (a)",
        /^its schema is version 77, and this ffrtmp knows versions up to \d+$/,
      ],
      ["CREATE TABLE accounts (a)", /^it is the database of something else$/],
    ] as const) {
      const directory = freshDirectory();
      const path = join(directory, "state/ledger.db");
      writeDatabase(path, sql);
      const before = readFileSync(path, "base64");
      const { ledger, messages } = open(directory);
      expect(ledger.unreadableBecause).toMatch(reason);
      expect(messages).toHaveLength(1);
      ledger.register(someJob());
      ledger.close();
      expect(readFileSync(path, "base64")).toBe(before);
    }
  });

  it("is migrated once, however many processes open it at the same time", async () => {
    const directory = freshDirectory();
    const program = `
      const { Ledger } = await import(${JSON.stringify(join(import.meta.dir, "ledger.ts"))});
      const { someJob, someProcess } = await import(${JSON.stringify(join(import.meta.dir, "../../test/support/jobs.ts"))});
      const ledger = new Ledger(${JSON.stringify(join(directory, "state/ledger.db"))}, (text) => console.error(text));
      ledger.register(someJob({ jobId: "job-" + process.pid, process: someProcess({ pid: process.pid }) }));`;
    const children = Array.from({ length: 6 }, () =>
      Bun.spawn([process.execPath, "-e", program], { stdout: "ignore", stderr: "pipe" }),
    );
    for (const child of children) {
      expect({ messages: await child.stderr.text(), code: await child.exited }).toEqual({
        messages: "",
        code: 0,
      });
    }
    expect(open(directory).ledger.openJobs()).toHaveLength(6);
  });
});

function writeDatabase(path: string, sql: string): void {
  mkdirSync(dirname(path));
  const db = new Database(path, { create: true });
  db.run(sql);
  db.close();
}
