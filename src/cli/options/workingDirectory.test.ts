import { afterAll, describe, expect, it } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkWorkingDirectory } from "./workingDirectory.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-workdir-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe("checkWorkingDirectory()", () => {
  it("returns the current directory without --workdir", () => {
    expect(checkWorkingDirectory(undefined)).toBe(process.cwd());
  });

  it("makes a path absolute", () => {
    expect(checkWorkingDirectory(".")).toBe(process.cwd());
    expect(checkWorkingDirectory(`${directory}/../${directory.split("/").at(-1)}/`)).toBe(directory);
  });

  it("names the problem with a directory, and the next step", () => {
    writeFileSync(`${directory}/file`, "");
    const complaints: [workdir: string, message: string, hint: string | undefined][] = [
      ["", "--workdir is empty", "omit it to start in the current directory"],
      [`${directory}/no`, `--workdir ${directory}/no does not exist`, `mkdir -p ${directory}/no`],
      [`${directory}/file`, `--workdir ${directory}/file is not a directory`, undefined],
    ];
    for (const [workdir, message, hint] of complaints) {
      expect(() => checkWorkingDirectory(workdir)).toThrow(expect.objectContaining({ message, hint }));
    }
    expect(() => checkWorkingDirectory(`${directory}/file/below`)).toThrow("cannot be entered: ENOTDIR");
  });
});
