import { afterAll, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import {
  closeFile,
  fileExists,
  isAccessible,
  listDirectory,
  makeDirectory,
  O_APPEND,
  O_CREAT,
  O_EXCL,
  O_WRONLY,
  openFile,
  readLinkText,
  readStart,
  readTextFile,
  readWordsFile,
  realPathOf,
  removeDirectory,
  removeFile,
  renameFile,
  statusOf,
  statusOfLink,
  statusOfOpen,
  writeAtOnce,
  writeTextFile,
  X_OK,
} from "./files.ts";

const root = fs.mkdtempSync(`${tmpdir()}/ffrtmp-files-`);
afterAll(() => fs.rmSync(root, { recursive: true }));

/** Returns the properties of an error that ffrtmp looks at; `undefined` when there was none. */
function failureOf(act: () => unknown): { code: unknown; path: unknown } | undefined {
  try {
    act();
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    return { code, path };
  }
  return undefined;
}

test("files are read as node:fs reads them, also empty, long and virtual ones", () => {
  for (const text of ["", "10\n", "ö€😀\n".repeat(20_000), "\ufeffbegins with a byte order mark"]) {
    fs.writeFileSync(`${root}/text`, text);
    expect(readTextFile(`${root}/text`)).toBe(text);
  }
  expect(readTextFile("/proc/self/mountinfo")).toBe(fs.readFileSync("/proc/self/mountinfo", "utf8"));
  expect(readStart(`${root}/text`, 4)).toEqual(fs.readFileSync(`${root}/text`).subarray(0, 4) as Uint8Array);
});

test("bytes that are not UTF-8 are read as node:fs reads them", () => {
  fs.writeFileSync(`${root}/raw`, Uint8Array.from([0x61, 0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80]));
  expect(readTextFile(`${root}/raw`)).toBe(fs.readFileSync(`${root}/raw`, "utf8"));
});

test("words are read as bytes, with and without a NUL at the end", () => {
  const words = (content: string): string[] => {
    fs.writeFileSync(`${root}/words`, content, "latin1");
    return readWordsFile(`${root}/words`).map((word) => Buffer.from(word).toString("latin1"));
  };
  expect(words("")).toEqual([]);
  expect(words("run\0\0b\xff\0")).toEqual(["run", "", "b\xff"]);
  expect(words("a\0b")).toEqual(["a", "b"]);
});

test("text is written with one call: replaced in place, or appended", () => {
  fs.writeFileSync(`${root}/written`, "");
  writeTextFile(`${root}/written`, "ö 1");
  expect(fs.readFileSync(`${root}/written`, "utf8")).toBe("ö 1");
  const path = `${root}/appended`;
  const fd = openFile(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0o640);
  writeAtOnce(fd, "one\n", path);
  writeAtOnce(fd, "two\n", path);
  expect(statusOfOpen(fd, path)).toEqual(statusOf(path) as never);
  closeFile(fd);
  expect(fs.readFileSync(path, "utf8")).toBe("one\ntwo\n");
  expect(failureOf(() => openFile(path, O_WRONLY | O_CREAT | O_EXCL, 0o640))).toEqual({
    code: "EEXIST",
    path,
  });
  expect(failureOf(() => writeTextFile("/dev/full", "text"))?.code).toBe("ENOSPC");
});

test("an opened file is closed in programs that are executed later", () => {
  const fd = openFile(`${root}/written`, O_WRONLY);
  expect(fs.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")).toMatch(/^flags:\s+02\d{6}$/m);
  closeFile(fd);
});

test("directories are made, listed and removed; files are renamed and removed", () => {
  makeDirectory(`${root}/folder`, 0o750);
  for (const name of ["b", "a ö", "file"]) fs.writeFileSync(`${root}/folder/${name}`, "");
  fs.symlinkSync("b", `${root}/folder/link`);
  fs.mkdirSync(`${root}/folder/below`);
  renameFile(`${root}/folder/b`, `${root}/folder/file`);
  const sorted = [...listDirectory(`${root}/folder`)].sort((a, b) => (a.name < b.name ? -1 : 1));
  expect(sorted).toEqual([
    { name: "a ö", type: "file" },
    { name: "below", type: "directory" },
    { name: "file", type: "file" },
    { name: "link", type: "link" },
  ]);
  expect(readLinkText(`${root}/folder/link`)).toBe("b");
  expect(failureOf(() => removeDirectory(`${root}/folder`))?.code).toBe("ENOTEMPTY");
  removeDirectory(`${root}/folder/below`);
  for (const name of ["a ö", "file", "link"]) removeFile(`${root}/folder/${name}`);
  removeDirectory(`${root}/folder`);
  expect(fileExists(`${root}/folder`)).toBe(false);
});

test("a long directory is listed whole", () => {
  fs.mkdirSync(`${root}/many`);
  const names = Array.from({ length: 2000 }, (_, index) => `a-name-of-some-length-${index}`);
  for (const name of names) fs.writeFileSync(`${root}/many/${name}`, "");
  expect(
    listDirectory(`${root}/many`)
      .map(({ name }) => name)
      .sort(),
  ).toEqual(names.sort());
});

test("status() has what stat(2) reports", () => {
  fs.writeFileSync(`${root}/status`, "12345", { mode: 0o640 });
  if (process.getuid?.() === 0) fs.chownSync(`${root}/status`, 70_001, 70_002);
  fs.chmodSync(`${root}/status`, 0o4641);
  fs.utimesSync(`${root}/status`, 1, 1_700_000_000.25);
  fs.symlinkSync("status", `${root}/to-status`);
  fs.linkSync(`${root}/status`, `${root}/link`);
  const { mode, uid, gid, nlink: links, size, dev, ino, mtimeMs } = fs.statSync(`${root}/status`);
  expect(links).toBe(2);
  const expected = { type: "file" as const, mode: mode & 0o7777, uid, gid, links, size, dev, ino, mtimeMs };
  expect(statusOf(`${root}/status`)).toEqual(expected);
  expect(statusOf(`${root}/to-status`)).toEqual(expected);
  expect(statusOfLink(`${root}/to-status`)?.type).toBe("link");
  expect(statusOf("/dev/null")?.type).toBe("device");
  expect(statusOf(root)?.type).toBe("directory");
  expect(statusOf(`${root}/missing`)).toBeUndefined();
  expect(realPathOf(`${root}/to-status`)).toBe(fs.realpathSync(`${root}/to-status`));
});

test("access() is that of the real user", () => {
  fs.writeFileSync(`${root}/plain`, "", { mode: 0o644 });
  fs.writeFileSync(`${root}/program`, "", { mode: 0o755 });
  expect(isAccessible(`${root}/plain`, X_OK)).toBe(false);
  expect(isAccessible(`${root}/program`, X_OK)).toBe(true);
});

test("errors have the code and the path that those of node:fs have", () => {
  fs.writeFileSync(`${root}/a-file`, "");
  fs.symlinkSync("loop", `${root}/loop`);
  const path = { missing: `${root}/missing`, below: `${root}/a-file/x`, loop: `${root}/loop` };
  const long = `${root}/${"x".repeat(300)}`;
  const cases: [() => unknown, () => unknown][] = [
    [() => readTextFile(path.missing), () => fs.readFileSync(path.missing)],
    [() => readTextFile(path.below), () => fs.readFileSync(path.below)],
    [() => readTextFile(path.loop), () => fs.readFileSync(path.loop)],
    [() => readTextFile(long), () => fs.readFileSync(long)],
    [() => makeDirectory(root, 0o755), () => fs.mkdirSync(root)],
    [() => removeDirectory(path.missing), () => fs.rmdirSync(path.missing)],
    [() => removeDirectory(`${root}/a-file`), () => fs.rmdirSync(`${root}/a-file`)],
    [() => removeFile(path.missing), () => fs.unlinkSync(path.missing)],
    [() => renameFile(path.missing, `${root}/x`), () => fs.renameSync(path.missing, `${root}/x`)],
    [() => readLinkText(root), () => fs.readlinkSync(root)],
    [() => listDirectory(path.missing), () => fs.readdirSync(path.missing)],
    [() => listDirectory(`${root}/a-file`), () => fs.readdirSync(`${root}/a-file`)],
    [() => realPathOf(path.missing), () => fs.realpathSync(path.missing)],
    [() => statusOf(path.below), () => fs.statSync(path.below)],
  ];
  for (const [ours, theirs] of cases) {
    expect(failureOf(theirs)).toBeDefined();
    expect(failureOf(ours)).toEqual(failureOf(theirs));
  }
  expect(failureOf(() => readTextFile(root))?.code).toBe("EISDIR");
});

test("a path that the kernel would read differently is refused", () => {
  fs.writeFileSync(`${root}/cut`, "");
  expect(failureOf(() => readTextFile(`${root}/cut\0more`))?.code).toBe("EINVAL");
  expect(failureOf(() => readTextFile(`${root}/${"x/".repeat(3000)}`))?.code).toBe("ENAMETOOLONG");
  expect(failureOf(() => renameFile(`${root}/cut`, `${root}/${"ö/".repeat(2000)}`))?.code).toBe(
    "ENAMETOOLONG",
  );
  // The longest path that the kernel takes.
  const longest = `${root}/${"./".repeat(2048)}`.slice(0, 4092 - 4).replace(/\.$/, "/");
  expect(fileExists(`${longest}/cut`)).toBe(true);
});
