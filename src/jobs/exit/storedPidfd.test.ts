import { afterEach, expect, test } from "bun:test";
import { someJob, someStartingJob } from "../../../test/support/jobs.ts";
import { pidfdsReportExitCodes } from "../../linux/events/bestEvents.ts";
import { realHost } from "../../linux/host.ts";
import { readBootId, readIdentity } from "../../linux/proc/identity.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { openPidfd } from "../../sys/pidfd.ts";
import type { Context } from "../context.ts";
import { matchStoredPidfd } from "./storedPidfd.ts";

const host = realHost();
const context = { host, bootId: readBootId(host) } as Context;
const clean: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  while (clean.length > 0) await clean.pop()?.();
});

/** Starts a process, and returns its pidfd and a job that is recorded for it. */
function started(cmd = ["sleep", "600"]) {
  const child = Bun.spawn(cmd, { stdio: ["ignore", "ignore", "ignore"] });
  const pidfd = openPidfd(child.pid);
  clean.push(async () => {
    child.kill("SIGKILL");
    await child.exited;
    closeFd(pidfd);
  });
  const identity = readIdentity(host, child.pid);
  if (identity === "gone") throw new Error("it was started a moment ago");
  return { child, pidfd, job: someJob({ process: identity }) };
}

test("a stored pidfd of a job's running process is recognized", () => {
  const { pidfd, job } = started();
  expect(matchStoredPidfd(context, job, pidfd)).toBe("there");
});

test("a pidfd of another process is rejected, also if that process has the pid of the job's", () => {
  const { pidfd, job } = started();
  const other = started();
  expect(matchStoredPidfd(context, job, other.pidfd)).toBe("stranger");
  const earlier = { ...job, process: { ...job.process, startTicks: job.process.startTicks - 1 } };
  expect(matchStoredPidfd(context, earlier, pidfd)).toBe("stranger");
});

test("a pidfd is rejected for a job of another boot, and for a job without a process", () => {
  const { pidfd, job } = started();
  expect(matchStoredPidfd(context, { ...job, process: { ...job.process, bootId: "another" } }, pidfd)).toBe(
    "stranger",
  );
  expect(matchStoredPidfd(context, someStartingJob(), pidfd)).toBe("stranger");
  expect(matchStoredPidfd(context, someStartingJob({ process: job.process }), pidfd)).toBe("stranger");
});

test("a descriptor that is no pidfd is rejected", () => {
  const { job } = started();
  expect(matchStoredPidfd(context, job, 0)).toBe("stranger");
});

test("the pidfd of a process that is gone gives the exit code, or the reason why it is unknown", async () => {
  const { child, pidfd, job } = started(["sh", "-c", "sleep 0.1; exit 7"]);
  await child.exited;
  const ending = matchStoredPidfd(context, job, pidfd);
  expect(ending).toMatchObject(
    (await pidfdsReportExitCodes())
      ? { kind: "exited", code: 7, evidence: "pidfd" }
      : { kind: "unobserved", reason: expect.stringContaining("exit record") },
  );
});
