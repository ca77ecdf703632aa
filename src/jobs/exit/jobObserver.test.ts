import { describe, expect, it } from "bun:test";
import { existsSync } from "node:fs";
import { someJob } from "../../../test/support/jobs.ts";
import type { ProcessEvents } from "../../linux/events/processEvents.ts";
import { openPidfd } from "../../sys/pidfd.ts";
import type { Context } from "../context.ts";
import { JobObserver } from "./jobObserver.ts";

/** Observes without events: nothing is read of these jobs. */
function start(): JobObserver {
  const events = { watchExit() {}, unwatchExit() {} } as unknown as ProcessEvents;
  return new JobObserver({} as Context, events, () => {});
}

describe("the jobs of an observer", () => {
  it("change with what is observed, updated and forgotten", () => {
    const observer = start();
    const jobs = observer.jobs();
    const first = someJob({ process: { bootId: "b", pid: 7, startTicks: 1 } });
    const second = someJob({ process: { bootId: "b", pid: 8, startTicks: 1 } });
    for (const job of [first, second]) observer.observe(job, undefined);
    expect([...jobs.keys()]).toEqual([first.key, second.key]);
    const changed = { ...first, labels: { stage: "later" } };
    observer.update(changed);
    expect(jobs.get(first.key)).toBe(changed);
    observer.forget(second);
    expect([...jobs.keys()]).toEqual([first.key]);
  });

  it("have one job for each process, the one that was observed last", () => {
    const observer = start();
    const [before, after] = [someJob(), someJob()].map((job) => ({
      ...job,
      process: { bootId: "b", pid: 7, startTicks: 1 },
    })) as [ReturnType<typeof someJob>, ReturnType<typeof someJob>];
    observer.observe(before, undefined);
    observer.observe(after, undefined);
    observer.update({ ...before, labels: { stage: "later" } });
    expect([...observer.jobs().keys()]).toEqual([after.key]);
  });

  it("keep one pidfd of their process, the one that was observed last", () => {
    const observer = start();
    const [first, last] = [openPidfd(process.pid), openPidfd(process.pid)];
    const job = someJob({ process: { bootId: "b", pid: process.pid, startTicks: 1 } });
    const areOpen = () => [first, last].map((fd) => existsSync(`/proc/self/fd/${fd}`));
    observer.observe(job, first);
    observer.observe(job, last);
    expect(areOpen()).toEqual([false, true]);
    observer.observe(job, last);
    expect(areOpen()).toEqual([false, true]);
    observer.forget(job);
    expect(areOpen()).toEqual([false, false]);
  });
});
