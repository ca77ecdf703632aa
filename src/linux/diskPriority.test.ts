import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasDiskPriority, readDiskPriorities } from "./diskPriority.ts";

test.each([
  [["none [mq-deadline] kyber bfq"], true],
  [["[none] mq-deadline kyber bfq", "none mq-deadline kyber [bfq]"], true],
  [["[none] mq-deadline kyber bfq", "none mq-deadline [kyber]"], false],
  [["none"], false],
  [[], false],
])("disks with the schedulers %j consider priorities: %p", (schedulers, expected) => {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
  try {
    mkdirSync(join(directory, "loop0", "queue"), { recursive: true });
    writeFileSync(join(directory, "loop0", "queue", "scheduler"), "none [mq-deadline] kyber bfq\n");
    mkdirSync(join(directory, "dm-0"));
    for (const [index, text] of schedulers.entries()) {
      mkdirSync(join(directory, `vd${index}`, "queue"), { recursive: true });
      writeFileSync(join(directory, `vd${index}`, "queue", "scheduler"), `${text}\n`);
    }
    expect(hasDiskPriority(directory)).toBe(expected);
    const { considered, ignored } = readDiskPriorities(directory);
    expect([...considered, ...ignored].map(({ disk }) => disk).sort()).toEqual(
      schedulers.map((_, index) => `vd${index}`),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("without a list of disks, none considers them", () => {
  expect(hasDiskPriority("/no/such/directory")).toBeFalse();
});
