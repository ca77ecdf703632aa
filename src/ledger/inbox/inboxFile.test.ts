import { afterEach, describe, expect, it } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { someLaunch } from "../../../test/support/inbox.ts";
import {
  abandonInboxFile,
  appendResult,
  appendRunning,
  createInboxFile,
  finishInboxFile,
  type InboxFile,
  isFoldDue,
} from "./inboxFile.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-inbox-"));
  directories.push(directory);
  return directory;
}

function create(directory: string, launch = someLaunch()): InboxFile {
  const file = createInboxFile(directory, launch);
  if (typeof file !== "object") throw new Error(`it is not created: ${file}`);
  return file;
}

describe("the file of a plain launch", () => {
  it("has one line for each step, and a name that says that the job is cleaned up", () => {
    const directory = freshDirectory();
    const launch = someLaunch();
    const file = create(directory, launch);
    expect(readdirSync(directory)).toEqual([`${launch.job.jobId}.job`]);
    expect(statSync(join(directory, file.name)).mode & 0o7137).toBe(0);
    expect(appendRunning(file, launch.running)).toBe("written");
    expect(appendResult(file, launch.result)).toBe("written");
    expect(finishInboxFile(file)).toBeTrue();
    const name = `${launch.job.key}.done`;
    expect(readdirSync(directory)).toEqual([name]);
    const lines = readFileSync(join(directory, name), "utf8").trimEnd().split("\n");
    const { job, running, result } = launch;
    expect(lines.map((line) => JSON.parse(line))).toEqual([{ version: 1, job }, { running }, { result }]);
  });

  it("claims its id, and leaves the file of another job with it as it is", () => {
    const directory = freshDirectory();
    const file = create(directory);
    const jobId = file.name.slice(0, -".job".length);
    const content = readFileSync(join(directory, file.name), "utf8");
    expect(createInboxFile(directory, someLaunch({ jobId }))).toBe("taken");
    symlinkSync("elsewhere", join(directory, "linked.job"));
    expect(createInboxFile(directory, someLaunch({ jobId: "linked" }))).toBe("taken");
    expect(readFileSync(join(directory, file.name), "utf8")).toBe(content);
    expect(readdirSync(directory).sort()).toEqual(["linked.job", file.name].sort());
  });

  it("notices at every step that another ffrtmp has folded it", () => {
    const directory = freshDirectory();
    const launch = someLaunch();
    const file = create(directory, launch);
    renameSync(join(directory, file.name), join(directory, "key.folded"));
    expect(appendRunning(file, launch.running)).toBe("folded");
    expect(appendResult(file, launch.result)).toBe("folded");
    // The next job with its id is not its own.
    const next = create(directory, someLaunch({ jobId: launch.job.jobId }));
    expect(appendResult(file, launch.result)).toBe("folded");
    expect(finishInboxFile(file)).toBeFalse();
    expect(readdirSync(directory).sort()).toEqual(["key.folded", next.name].sort());
  });

  it("is gone after a start that was undone", () => {
    const directory = freshDirectory();
    abandonInboxFile(create(directory));
    expect(readdirSync(directory)).toEqual([]);
  });

  it("is not created where there is no inbox", () => {
    expect(createInboxFile(join(freshDirectory(), "missing"), someLaunch())).toBe(-2);
  });
});

it("about one launch in 256 folds the inbox", () => {
  const keys = Array.from({ length: 20_000 }, () => Bun.randomUUIDv7());
  const due = keys.filter(isFoldDue).length;
  expect(due).toBeGreaterThan(20);
  expect(due).toBeLessThan(200);
});
