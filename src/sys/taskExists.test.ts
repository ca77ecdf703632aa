import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { taskExists } from "./taskExists.ts";

test("a process exists until it is reaped, and so does each thread", async () => {
  const child = Bun.spawn(["cat"], { stdio: ["pipe", "ignore", "ignore"] });
  expect([taskExists(process.pid), taskExists(child.pid)]).toEqual([true, true]);
  // Those of the runtime, of which some may end meanwhile.
  const others = readdirSync("/proc/self/task").filter((tid) => tid !== String(process.pid));
  expect(others.some((tid) => taskExists(Number(tid)))).toBe(true);
  child.kill();
  await child.exited;
  expect([taskExists(child.pid), taskExists(4_194_305)]).toEqual([false, false]);
});

test("a process that its parent has not reaped exists", async () => {
  const script = 'if (my $pid = fork) { $| = 1; print "$pid\\n"; sleep 60 }';
  const parent = Bun.spawn(["perl", "-e", script], { stdout: "pipe" });
  const { value } = await parent.stdout.getReader().read();
  const pid = Number(new TextDecoder().decode(value));
  const isZombie = async () => (await Bun.file(`/proc/${pid}/stat`).text()).includes(") Z ");
  while (!(await isZombie())) await Bun.sleep(1);
  expect(taskExists(pid)).toBe(true);
  parent.kill();
  await parent.exited;
});

test.skipIf(process.getuid?.() !== 0)("another user's process exists", () => {
  const source = `import { taskExists } from "${import.meta.dirname}/taskExists.ts"; console.log(taskExists(1), taskExists(${process.pid}));`;
  const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const { stdout } = Bun.spawnSync([...asNobody, process.execPath, "-e", source], { cwd: "/" });
  expect(stdout.toString().trim()).toBe("true true");
});
