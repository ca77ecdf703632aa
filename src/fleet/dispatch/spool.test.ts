import { afterEach, beforeEach, describe, expect, it } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClaimRecord, claimRecord, Spool } from "./spool.ts";

const RECORD: ClaimRecord = {
  v: 1,
  state: "offered",
  attempt: 2,
  claim_id: "id-1",
  claim_seq: null,
  job: { v: 1, kind: "job", body: '{"id":"transcode-17"}', key: "O", sig: "s" },
  boot_id: "boot-1",
  at: "2026-11-28T04:00:00.000Z",
};
const NAME = { job: "transcode-17", attempt: 2 };

let directory = "";
let spool: Spool<ClaimRecord>;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ffrtmp-spool-"));
  spool = new Spool(join(directory, "claims"), claimRecord);
});
afterEach(() => rmSync(directory, { recursive: true }));

const put = (file: string, text: string) => {
  mkdirSync(spool.directory, { recursive: true });
  writeFileSync(join(spool.directory, file), text);
};

describe("a spool", () => {
  it("that does not exist is empty", () => {
    expect(spool.readAll()).toEqual({ entries: [], faults: [] });
    expect(spool.read(NAME)).toBeUndefined();
    spool.remove(NAME);
  });

  it("replaces a record as a whole, for its user and the group", () => {
    spool.write(NAME, RECORD);
    expect(spool.read(NAME)).toEqual(RECORD);
    spool.write(NAME, { ...RECORD, state: "mine" });
    spool.write({ job: "a", attempt: 1 }, { ...RECORD, attempt: 1 });
    expect(spool.readAll().entries.map(({ job, attempt, record }) => [job, attempt, record.state])).toEqual([
      ["a", 1, "offered"],
      ["transcode-17", 2, "mine"],
    ]);
    expect(readdirSync(spool.directory).sort()).toEqual(["a.1.json", "transcode-17.2.json"]);
    const modes = [spool.directory, join(spool.directory, "a.1.json")].map((path) => statSync(path).mode);
    expect(modes.map((mode) => mode & 0o027)).toEqual([0, 0]);
    spool.remove(NAME);
    expect(spool.names()).toEqual([{ job: "a", attempt: 1 }]);
  });

  it("writes over the draft of a killed program, and does not list it", () => {
    put("transcode-17.2.json.new", "{");
    expect(spool.names()).toEqual([]);
    spool.write(NAME, RECORD);
    expect(spool.read(NAME)).toEqual(RECORD);
  });

  it("keeps the earlier record where the new one cannot be written", () => {
    spool.write(NAME, RECORD);
    mkdirSync(join(spool.directory, "transcode-17.2.json.new"));
    expect(() => spool.write(NAME, { ...RECORD, state: "mine" })).toThrow();
    expect(spool.read(NAME)).toEqual(RECORD);
  });

  it("ignores files with other names", () => {
    for (const file of ["a.json", "a.0.json", "a.21.json", "a.b.1.json", ".1.json", "-a.1.json", "a.1"])
      put(file, JSON.stringify(RECORD));
    expect(spool.names()).toEqual([]);
  });

  it("names the file that cannot be believed, and reads the others", () => {
    spool.write(NAME, RECORD);
    put("cut.1.json", JSON.stringify(RECORD).slice(0, 40));
    put("other.1.json", JSON.stringify({ ...RECORD, state: "running" }));
    put("large.1.json", `${JSON.stringify(RECORD)}${" ".repeat(2 * 1024 * 1024)}x`);
    const { entries, faults } = spool.readAll();
    expect(entries).toHaveLength(1);
    expect(faults.map(({ job, why }) => `${job} ${why}`)).toEqual([
      "cut is not JSON",
      "large has more than 1048576 bytes",
      expect.stringContaining("other is no record of this release: state: "),
    ]);
    expect(faults[0]?.path).toBe(join(spool.directory, "cut.1.json"));
  });

  it("follows no link and waits for no FIFO", () => {
    put("target", JSON.stringify(RECORD));
    symlinkSync("target", join(spool.directory, "link.1.json"));
    Bun.spawnSync(["mkfifo", join(spool.directory, "pipe.1.json")]);
    expect(spool.readAll().faults.map(({ why }) => why)).toEqual(["is a link", "is not a regular file"]);
  });

  it("takes no name that leads out of its directory", () => {
    expect(() => spool.write({ job: "../x", attempt: 1 }, RECORD)).toThrow("no id of a job");
  });
});
