import { afterAll, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NameTable } from "./nameTable.ts";
import { wantedNameReader } from "./wantedName.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-wanted-"));
const children: Bun.Subprocess[] = [];
afterAll(async () => {
  for (const child of children) child.kill();
  await Promise.all(children.map((child) => child.exited));
  rmSync(directory, { recursive: true });
});

/** Starts `cat` at this path, which waits for its input. Resolves once it runs. */
async function start(path: string): Promise<number> {
  const child = Bun.spawn([path], { stdio: ["pipe", "pipe", "ignore"] });
  children.push(child);
  child.stdin.write("ready\n");
  child.stdin.flush();
  await child.stdout.getReader().read();
  return child.pid;
}

/** Returns those of some names under which a process is found. */
function foundBy(pid: number, names: string[]): string[] {
  return names.filter((name) => {
    const table = new NameTable();
    table.set([name]);
    return wantedNameReader(table)(pid);
  });
}

function copyOfCat(name: string): string {
  const path = join(directory, name);
  copyFileSync("/bin/cat", path);
  return path;
}

test("a process is found by its own name and by that of its file", async () => {
  symlinkSync(copyOfCat("ffw-file"), join(directory, "ffw-link"));
  const pid = await start(join(directory, "ffw-link"));
  const others = ["cat", "ffw", "ffw-link2", "ffw-fil", directory.slice(1)];
  expect(foundBy(pid, ["ffw-link", "ffw-file", ...others])).toEqual(["ffw-link", "ffw-file"]);
});

test("a script is found by its own name and by that of its interpreter", async () => {
  const [interpreter, script] = [copyOfCat("ffw-interpreter"), join(directory, "ffw-script")];
  writeFileSync(script, `#!${interpreter} -\n`, { mode: 0o755 });
  const pid = await start(script);
  expect(foundBy(pid, ["ffw-script", "ffw-interpreter", "cat"])).toEqual(["ffw-script", "ffw-interpreter"]);
});

test("a process is found by as much of a name as the kernel keeps, and when its file was deleted", async () => {
  const path = copyOfCat("ffw-15-bytes-of-a-name");
  symlinkSync(path, join(directory, "ffw-x"));
  const pid = await start(join(directory, "ffw-x"));
  unlinkSync(path);
  expect(foundBy(pid, ["ffw-15-bytes-of", "ffw-15-bytes-o", "ffw-x"])).toEqual(["ffw-15-bytes-of", "ffw-x"]);
  const short = await start(copyOfCat("ffw-gone"));
  unlinkSync(join(directory, "ffw-gone"));
  expect(foundBy(short, ["ffw-gone", "ffw-gone (delet", "deleted"])).toEqual(["ffw-gone"]);
});

test("all names, and none, are decided without a look at the process", () => {
  const names = new NameTable();
  const hasWantedName = wantedNameReader(names);
  const noSuchPid = 4_194_305;
  expect(hasWantedName(noSuchPid)).toBe(true);
  names.set([]);
  expect(hasWantedName(process.pid)).toBe(false);
  names.set(["ffw-any"]);
  expect(hasWantedName(noSuchPid)).toBe(false);
});

test("a process whose name cannot be read is taken for a wanted one", async () => {
  const script = `
    import { openSync } from "node:fs";
    import { NameTable } from "${import.meta.dirname}/nameTable.ts";
    import { wantedNameReader } from "${import.meta.dirname}/wantedName.ts";
    const names = new NameTable();
    names.set(["ffw-any"]);
    const hasWantedName = wantedNameReader(names);
    const before = hasWantedName(process.pid);
    try { for (;;) openSync("/dev/null", "r"); } catch {}
    console.log(JSON.stringify([before, hasWantedName(process.pid)]));
  `;
  const { stdout } = Bun.spawnSync(["prlimit", "--nofile=64:64", process.execPath, "-e", script]);
  expect(JSON.parse(stdout.toString())).toEqual([false, true]);
});
