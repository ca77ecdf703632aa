/**
 * `bun childWaiter.ts SCRIPT [SIGNAL | ended]…`: starts a shell, sends itself the signals, waits for the shell and prints the
 * result as JSON. `ended`: waits first until the shell has ended. The script "stranger" plays a process of another user.
 */
import { readFileSync } from "node:fs";
import { blockStopSignals, waitForChild } from "../../../src/sys/childWait.ts";
import { readWordsFile } from "../../../src/sys/files.ts";
import { executeAgain } from "../../../src/sys/ownProcess.ts";

// Threads that the runtime has started already do not block the signals: those of a new start do.
if (process.env["CHILD_WAITER"] === undefined) {
  blockStopSignals();
  const started = new TextEncoder().encode("CHILD_WAITER=started");
  executeAgain(readWordsFile("/proc/self/cmdline"), [...readWordsFile("/proc/self/environ"), started]);
}

const [script = "", ...steps] = process.argv.slice(2);
const child = Bun.spawn(["sh", "-c", script === "stranger" ? "sleep 0.2 & echo $!" : script], {
  stdio: ["pipe", "pipe", "ignore"],
});
let pid = child.pid;
if (script === "stranger") {
  pid = Number(await new Response(child.stdout).text());
  await child.exited;
}
for (const step of steps) {
  if (step !== "ended") process.kill(process.pid, step);
  else while (!/ Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))) Bun.sleepSync(5);
}
let continued = 0;
const end = waitForChild(pid, () => {
  continued++;
});
process.stdout.write(JSON.stringify({ end, continued }));
process.exit(0);
