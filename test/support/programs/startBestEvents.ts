/**
 * Starts the best event source with a scan every minute, prints which one it is, when it reports an exit and why no
 * better one is available, and exits.
 */
import { startBestEvents } from "../../../src/linux/events/bestEvents.ts";
import { realHost } from "../../../src/linux/host.ts";
import { readStat } from "../../../src/linux/proc/stat.ts";
import { openPidfd } from "../../../src/sys/pidfd.ts";

const host = realHost();
const { promise: atOnce, resolve } = Promise.withResolvers<string>();
const { events, unavailable } = await startBestEvents(host, 60_000, (batch) => {
  if (batch.some(({ kind }) => kind === "exit")) resolve("at once");
});
const { pid } = Bun.spawn(["sleep", "0.1"]);
const stat = readStat(host, pid);
if (stat === "gone") throw new Error("the process is gone");
events.watchExit({ pid, startTicks: stat.startTicks }, openPidfd(pid));
const exit = await Promise.race([atOnce, Bun.sleep(10_000).then(() => "by scan")]);
process.stdout.write(JSON.stringify({ source: events.source, exit, unavailable }));
await events.stop();
// The sleep above would keep this process for its 10 s.
process.exit();
