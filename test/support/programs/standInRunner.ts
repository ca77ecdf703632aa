import {
  type AttemptName,
  claimRecord,
  isSpoolFault,
  type RunnerRecord,
  runnerRecord,
  Spool,
} from "../../../src/fleet/dispatch/spool.ts";
import { attemptId, jobBody } from "../../../src/fleet/messages/job.ts";
import { realHost } from "../../../src/linux/host.ts";
import { readBootId } from "../../../src/linux/proc/identity.ts";

// The runner of a node without its checks: it starts each claimed attempt by `ffrtmp run --once`, and can be killed at any time.
// bun standInRunner.ts FFRTMP CLAIMS RUNNER STATE STARTS

const POLL_MS = 100;
const [, , ffrtmp = "", claimsDirectory = "", runnerDirectory = "", state = "", starts = ""] = process.argv;
const claims = new Spool(claimsDirectory, claimRecord);
const bootId = readBootId(realHost());
const own = new Spool(runnerDirectory, runnerRecord);

for (;;) {
  for (const { record, ...name } of claims.readAll().entries) {
    const before = own.read(name);
    const isDone = before !== undefined && !isSpoolFault(before) && before.state !== "starting";
    if (record.state === "mine" && !isDone) await start(name, record.job.body);
  }
  const held = new Set(claims.names().map(({ job, attempt }) => attemptId(job, attempt)));
  for (const name of own.names()) if (!held.has(attemptId(name.job, name.attempt))) own.remove(name);
  await Bun.sleep(POLL_MS);
}

async function start(name: AttemptName, body: string): Promise<void> {
  report(name, "starting");
  const { params } = jobBody.parse(JSON.parse(body));
  const id = attemptId(name.job, name.attempt);
  const labels = ["--label", `fleet_job=${name.job}`, "--label", `fleet_attempt=${name.attempt}`];
  const workload = ["sh", "-c", 'echo "$0" >> "$1"; sleep "$2"', id, starts, String(params["seconds"])];
  const options = ["--detach", "--once", "--job-id", id, ...labels, "--state-path", state];
  const child = Bun.spawn({
    cmd: [ffrtmp, "run", ...options, "--", ...workload],
    stderr: "pipe",
    stdout: "ignore",
  });
  const [code, errors] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  // An id that was used is that of a start whose answer this runner, or an earlier one, has not seen.
  if (code === 0 || errors.includes("--once refuses")) report(name, "started");
  else console.error(errors);
}

function report(name: AttemptName, state: RunnerRecord["state"]): void {
  own.write(name, { v: 1, state, why: null, boot_id: bootId, at: new Date().toISOString() });
}
