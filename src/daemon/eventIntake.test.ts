import { expect, test } from "bun:test";
import type { ProcessEvent, ProcessEvents } from "../linux/events/processEvents.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { EventIntake } from "./eventIntake.ts";
import { DaemonEvents } from "./events.ts";
import type { JobTracker } from "./jobTracker.ts";
import { PostponedWork } from "./postponedWork.ts";
import type { DaemonStatistics } from "./statistics.ts";

/** Creates an intake that notes what it passes on, in order. */
function startIntake() {
  const passed: string[] = [];
  const context = {
    bus: new DaemonEvents(),
    postponed: new PostponedWork({ retry() {}, report() {} }),
  } as unknown as DaemonContext;
  const tracker = {
    observer: { take: (ends: ProcessEvent[]) => void passed.push(...ends.map(({ kind }) => kind)) },
  } as unknown as JobTracker;
  const intake = new EventIntake(context, {} as ProcessEvents, {
    tracker,
    discovery: {
      async considerNow(pid) {
        passed.push(`consider ${pid}`);
        return false;
      },
    },
    rescans: { request: () => void passed.push("rescan") },
    statistics: { counts: () => ({ dropped: 1, droppedRenames: 0 }) } as unknown as DaemonStatistics,
  });
  return { intake, passed };
}

const exec = (pid: number): ProcessEvent => ({ kind: "exec", pid, atMs: null });

test("ends come first, and then the process whose event the others have waited for", () => {
  const { intake, passed } = startIntake();
  const over: ProcessEvent = { kind: "over", pid: 4, startTicks: 1 };
  intake.handle([exec(1), exec(2), over, exec(3)]);
  expect(passed).toEqual(["over", "consider 3", "consider 2", "consider 1"]);
});

test("lost events lead to a scan", () => {
  const { intake, passed } = startIntake();
  intake.handle([{ kind: "lost", reason: "a test" }]);
  expect(passed).toEqual(["rescan"]);
});
