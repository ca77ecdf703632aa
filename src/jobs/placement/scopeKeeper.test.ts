import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KEEPERS_CGROUP, startKeeper } from "./scopeKeeper.ts";

const clean: (() => unknown)[] = [];
afterEach(() => {
  while (clean.length > 0) clean.pop()?.();
});

/** Creates a directory with the files of a scope that contains a job, and starts a keeper with a short interval. */
function keptScope(timeoutSeconds = 1000) {
  const scope = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
  clean.push(() => rmSync(scope, { recursive: true, force: true }));
  const job = join(scope, "job");
  const procs = join(scope, KEEPERS_CGROUP, "cgroup.procs");
  mkdirSync(job);
  mkdirSync(join(scope, KEEPERS_CGROUP));
  const setPopulated = (populated: 0 | 1): void =>
    writeFileSync(join(job, "cgroup.events"), `populated ${populated}\nfrozen 0\n`);
  setPopulated(1);
  const keeper = startKeeper({ key: scope }, job, { intervalSeconds: 0.05, timeoutSeconds });
  clean.push(() => keeper.kill("SIGKILL"));
  writeFileSync(procs, `${keeper.pid}\n`);
  return {
    keeper,
    setPopulated,
    remove: () => rmSync(job, { recursive: true }),
    follow: () => writeFileSync(procs, `${keeper.pid}\n${process.pid}\n`),
  };
}

/** Waits for several intervals of the keeper. */
async function expectToStay(keeper: { exitCode: number | null }): Promise<void> {
  await Bun.sleep(400);
  expect(keeper.exitCode).toBeNull();
}

test("the keeper exits at once when it is not needed", async () => {
  const { keeper } = keptScope();
  await expectToStay(keeper);
  keeper.stdin.write("\n");
  await keeper.stdin.end();
  await keeper.exited;
});

test("the keeper exits at once when the job was read before its observer ended", async () => {
  const { keeper, remove } = keptScope();
  remove();
  await expectToStay(keeper);
  await keeper.stdin.end();
  await keeper.exited;
});

test("the keeper outlives its observer until the job has ended and its usage was read", async () => {
  const { keeper, setPopulated, remove } = keptScope();
  await keeper.stdin.end();
  await expectToStay(keeper);
  setPopulated(0);
  await expectToStay(keeper);
  remove();
  await keeper.exited;
});

test("the keeper exits when no ffrtmp reads an ended job in time, and not while the job runs", async () => {
  const { keeper, setPopulated } = keptScope(0.1);
  await keeper.stdin.end();
  await expectToStay(keeper);
  setPopulated(0);
  await keeper.exited;
});

test("the keeper exits when another observer keeps the scope", async () => {
  const { keeper, follow } = keptScope();
  await keeper.stdin.end();
  await expectToStay(keeper);
  follow();
  await keeper.exited;
});

test("the keeper is in no session or process group that a terminal's signals reach", () => {
  const { keeper } = keptScope();
  // 4026 (sh) S 1 4026 4026 …   ← parent, process group, session
  const [, , group, session] =
    readFileSync(`/proc/${keeper.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  expect([group, session]).toEqual([String(keeper.pid), String(keeper.pid)]);
});
