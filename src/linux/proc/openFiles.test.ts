import { afterAll, afterEach, expect, test } from "bun:test";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realHost } from "../host.ts";
import { listOpenFiles, openLocalFile, readByPath, readTail } from "./openFiles.ts";

const host = realHost();
const directory = mkdtempSync(join(tmpdir(), "ffrtmp-files-"));
const open: number[] = [];
afterEach(() => {
  for (const fd of open.splice(0)) closeSync(fd);
});
afterAll(() => rmSync(directory, { recursive: true }));

function openHere(name: string, flags: string): number {
  const fd = openSync(join(directory, name), flags);
  open.push(fd);
  return fd;
}

function ownFile(name: string) {
  const files = listOpenFiles(host, process.pid);
  if (files === "gone") throw new Error("procfs does not show this process");
  return files.find(({ path }) => path === join(directory, name));
}

test("regular files are listed with how and where the process uses them", () => {
  writeFileSync(join(directory, "read"), "x".repeat(1000));
  const fd = openHere("read", "r");
  readSync(fd, new Uint8Array(300));
  const written = openHere("written", "w");
  writeSync(written, "12345");
  expect(ownFile("read")).toMatchObject({
    fd,
    isRead: true,
    isWritten: false,
    position: 300,
    sizeBytes: 1000,
  });
  expect(ownFile("written")).toMatchObject({ fd: written, isRead: false, isWritten: true, position: 5 });
});

test("a FIFO is not listed, and not opened by its path or descriptor", () => {
  const path = join(directory, "fifo");
  Bun.spawnSync(["mkfifo", path]);
  const fd = openHere("fifo", "r+");
  expect(ownFile("fifo")).toBeUndefined();
  // A second reader would get this.
  writeSync(fd, "secret");
  expect(readByPath(host, process.pid, path, 100)).toBeUndefined();
  expect(readTail(host, process.pid, { fd, identity: "any" }, 100)).toBeUndefined();
  const bytes = new Uint8Array(6);
  readSync(fd, bytes);
  expect(new TextDecoder().decode(bytes)).toBe("secret");
});

test("the end of a file is read, and the position of the process stays", () => {
  const fd = openHere("log", "w+");
  writeSync(fd, "first line\nlast line\n");
  const file = ownFile("log");
  if (file === undefined) throw new Error("the file is not listed");
  expect(readTail(host, process.pid, file, 10)?.text).toBe("last line\n");
  expect(readTail(host, process.pid, file, 1000)?.text).toBe("first line\nlast line\n");
  expect(ownFile("log")?.position).toBe(file.position);
  // Another file has got the number of the descriptor.
  expect(readTail(host, process.pid, { ...file, identity: "1:1" }, 10)).toBeUndefined();
});

test("a file is read by its path as the process sees it, and a link is not followed", () => {
  writeFileSync(join(directory, "list"), "#EXTM3U\n");
  symlinkSync("list", join(directory, "link"));
  expect(readByPath(host, process.pid, join(directory, "list"), 100)?.text).toBe("#EXTM3U\n");
  expect(readByPath(host, process.pid, join(directory, "link"), 100)).toBeUndefined();
  expect(readByPath(host, process.pid, "package.json", 100)?.text).toContain("ffrtmp");
  expect(readByPath(host, process.pid, join(directory, "none"), 100)).toBeUndefined();
});

test("a file is opened once more from its start", () => {
  writeFileSync(join(directory, "media"), "media");
  const fd = openHere("media", "r");
  readSync(fd, new Uint8Array(5));
  const file = ownFile("media");
  const again = file && openLocalFile(host, process.pid, file);
  if (again === undefined) throw new Error("the file cannot be opened");
  open.push(again);
  expect(readFileSync(again, "utf8")).toBe("media");
  expect(openLocalFile(host, process.pid, { fd, identity: "1:1" })).toBeUndefined();
});
