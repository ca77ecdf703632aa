import { afterAll, beforeAll, describe, expect, it } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findCommand } from "./findCommand.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-command-"));

function put(name: string, text: string, mode: number): void {
  const path = join(directory, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
}

beforeAll(() => {
  for (const name of ["bin", "other", "bin/folder"]) mkdirSync(join(directory, name));
  put("bin/tool", "#!/bin/sh\n", 0o755);
  put("other/tool", "#!/bin/sh\n", 0o755);
  put("bin/notes", "", 0o644);
  put("other/notes", "#!/bin/sh\n", 0o755);
  put("bin/plain", "", 0o644);
  put("bin/relative", "#!bin/tool\n", 0o755);
  put("bin/spaced", "#! \t/bin/sh -e\n", 0o755);
  put("bin/lost", "#!/no/such/interpreter --flag\n", 0o755);
  put("bin/windows", "#!/bin/sh\r\n", 0o755);
  put("bin/bare", "#!\n", 0o755);
  symlinkSync("nowhere", join(directory, "bin/dangling"));
  symlinkSync("tool", join(directory, "bin/linked"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const find = (command: string, path: string | undefined = `${directory}/bin:${directory}/other`) =>
  findCommand(command, directory, path);

describe("findCommand()", () => {
  it("takes the first file in PATH that can be executed", () => {
    expect(find("tool")).toEqual({ path: `${directory}/bin/tool` });
    expect(find("notes")).toEqual({ path: `${directory}/other/notes` });
    expect(find("linked")).toEqual({ path: `${directory}/bin/linked` });
  });

  it("resolves relative and empty parts of PATH from the working directory of the command", () => {
    expect(find("tool", "other:bin")).toEqual({ path: `${directory}/other/tool` });
    expect(findCommand("tool", `${directory}/bin`, "/no/such:")).toEqual({ path: `${directory}/bin/tool` });
  });

  it("searches the default directories without PATH", () => {
    expect(findCommand("sh", directory, undefined)).toHaveProperty("path", expect.stringMatching(/\/sh$/));
  });

  it("resolves a path from the working directory of the command", () => {
    expect(find("./bin/tool")).toEqual({ path: `${directory}/bin/tool` });
    expect(find(`${directory}/other/tool`, "")).toEqual({ path: `${directory}/other/tool` });
  });

  it("returns 127 for a command that does not exist", () => {
    for (const command of ["", "missing", "./missing", "./bin/dangling", "./bin/plain/below"]) {
      expect(find(command)).toMatchObject({ exitCode: 127 });
    }
    expect(find("missing")).toHaveProperty(
      "because",
      `missing is not in PATH (${directory}/bin:${directory}/other)`,
    );
    expect(findCommand("missing", directory, undefined)).toHaveProperty(
      "because",
      "missing is not in PATH (which is not set)",
    );
  });

  it("returns 126 for a file that cannot be executed", () => {
    expect(find("plain")).toEqual({
      exitCode: 126,
      because: `${directory}/bin/plain is not executable: chmod +x it, or name its interpreter`,
    });
    expect(find("./bin/folder")).toEqual({ exitCode: 126, because: "./bin/folder is a directory" });
    expect(find("/dev/null")).toEqual({ exitCode: 126, because: "/dev/null is not a regular file" });
  });

  it("reads the first line of a script as the kernel does", () => {
    for (const command of ["./bin/spaced", "./bin/relative", "./bin/bare"])
      expect(find(command)).toHaveProperty("path");
    expect(find("./bin/lost")).toEqual({
      exitCode: 126,
      because:
        'the first line of ./bin/lost names the interpreter "/no/such/interpreter", which does not exist',
    });
    expect(find("./bin/windows")).toHaveProperty(
      "because",
      expect.stringContaining('"/bin/sh\\r": the script has Windows line ends'),
    );
  });
});
