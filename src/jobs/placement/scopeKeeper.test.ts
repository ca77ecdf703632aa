import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KEEPERS_CGROUP, spawnKeeper } from "./scopeKeeper.ts";

const clean: (() => unknown)[] = [];
afterEach(() => {
  while (clean.length > 0) clean.pop()?.();
});

/** A directory that reads like a scope with a job, and its keeper, who looks often. */
function keptScope(patienceSeconds = 1000) {
  const scope = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
  clean.push(() => rmSync(scope, { recursive: true, force: true }));
  const job = join(scope, "job");
  const procs = join(scope, KEEPERS_CGROUP, "cgroup.procs");
  mkdirSync(job);
  mkdirSync(join(scope, KEEPERS_CGROUP));
  const tell = (populated: 0 | 1): void =>
    writeFileSync(join(job, "cgroup.events"), `populated ${populated}\nfrozen 0\n`);
  tell(1);
  const keeper = spawnKeeper(job, { lookSeconds: 0.05, patienceSeconds });
  clean.push(() => keeper.kill("SIGKILL"));
  writeFileSync(procs, `${keeper.pid}\n`);
  return {
    keeper,
    tell,
    remove: () => rmSync(job, { recursive: true }),
    follow: () => writeFileSync(procs, `${keeper.pid}\n${process.pid}\n`),
  };
}

/** Long enough for several looks. */
async function expectToStay(keeper: { exitCode: number | null }): Promise<void> {
  await Bun.sleep(400);
  expect(keeper.exitCode).toBeNull();
}

test("it goes at once when it is not needed", async () => {
  const { keeper } = keptScope();
  await expectToStay(keeper);
  keeper.stdin.write("\n");
  await keeper.stdin.end();
  await keeper.exited;
});

test("it goes at once when the job was read before its observer ended", async () => {
  const { keeper, remove } = keptScope();
  remove();
  await expectToStay(keeper);
  await keeper.stdin.end();
  await keeper.exited;
});

test("it outlives its observer until the job has ended and somebody has read what it used", async () => {
  const { keeper, tell, remove } = keptScope();
  await keeper.stdin.end();
  await expectToStay(keeper);
  tell(0);
  await expectToStay(keeper);
  remove();
  await keeper.exited;
});

test("it goes when nobody comes to read, and not while the job lives", async () => {
  const { keeper, tell } = keptScope(0.1);
  await keeper.stdin.end();
  await expectToStay(keeper);
  tell(0);
  await keeper.exited;
});

test("it goes when another observer keeps the scope", async () => {
  const { keeper, follow } = keptScope();
  await keeper.stdin.end();
  await expectToStay(keeper);
  follow();
  await keeper.exited;
});

test("it is in no session or process group that a terminal's signals reach", () => {
  const { keeper } = keptScope();
  // 4026 (sh) S 1 4026 4026 …   ← parent, process group, session
  const [, , group, session] =
    readFileSync(`/proc/${keeper.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  expect([group, session]).toEqual([String(keeper.pid), String(keeper.pid)]);
});
