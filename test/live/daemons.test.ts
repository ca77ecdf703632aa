import { expect } from "bun:test";
import { copyFileSync, openSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { FFRTMP, lacksLimits, readProc, Sandbox, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

limitsTest("watch governs neither itself nor another ffrtmp, whatever the policy says", async () => {
  const box = sandbox();
  const own = box.path(`own-${box.tag}`);
  copyFileSync(FFRTMP, own);
  const workload = box.program("sleep");
  const quiet = { stdout: "ignore", stderr: "ignore" } as const;
  const elsewhere = new Sandbox();
  try {
    const attached = box.spawn(["sleep", "1000"]);
    const inner = ["--", "sleep", "1000"];
    const ffrtmps = [
      box.spawn([own, "run", "--job-id", "near", ...inner], quiet),
      elsewhere.spawn([own, "run", "--job-id", "far", ...inner], quiet),
      box.spawn([own, "attach", "--pid", String(attached.pid), "--job-id", "attached"], quiet),
    ];
    for (const jobId of ["near", "attached"]) box.adopt(await box.pidOf(jobId));
    const log = box.path("watch.log");
    const target = ["--target", basename(own), "--target", workload.name];
    box.adopt(await elsewhere.pidOf("far"));
    const daemon = box.spawn([own, "watch", ...target, "--scan-interval", "100ms"], {
      stderr: openSync(log, "w"),
    });
    await until("the daemon watches", () => readFileSync(log, "utf8").includes("Watching for"));
    const late = box.spawn([own, "run", "--job-id", "late", ...inner], quiet);
    box.adopt(await box.pidOf("late"));
    // A workload that is found later shows that the daemon has scanned.
    const found = box.spawn([workload.path, "1000"]);
    await until("the workload is found", () =>
      readFileSync(log, "utf8").includes(`Attaching to PID ${found.pid} `),
    );

    for (const { pid } of [...ffrtmps, late, daemon])
      expect(readProc(pid, "cgroup")).not.toContain("/ffrtmp-");
    expect(readFileSync(log, "utf8").match(/Attaching to/g)).toHaveLength(1);
  } finally {
    await elsewhere.close();
  }
});

limitsTest(
  "of two daemons with different state directories one governs a process, and the other leaves it alone",
  async () => {
    const boxes = [sandbox(), new Sandbox()];
    try {
      const { name, path } = sandbox().program("sleep");
      const logs = boxes.map((box) => box.path("watch.log"));
      const daemons = boxes.map((box) =>
        box.start(["watch", "--target", name, "--cpu-quota", "50"], {
          stderr: openSync(box.path("watch.log"), "w"),
        }),
      );
      for (const log of logs)
        await until("the daemon watches", () => readFileSync(log, "utf8").includes("Watching for"));
      // Both receive each event at the same time. Without a lock every other process was governed twice.
      const pids = Array.from({ length: 30 }, () => sandbox().spawn([path, "1000"]).pid);
      for (const pid of pids) {
        await until(`PID ${pid} is governed`, () =>
          logs.some((log) => readFileSync(log, "utf8").includes(`Attaching to PID ${pid} `)),
        );
      }
      for (const daemon of daemons) {
        daemon.kill("SIGTERM");
        expect(await daemon.exited).toBe(0);
      }
      const jobs = (await Promise.all(boxes.map((box) => box.json(["ps"])))).flat();
      for (const pid of pids) {
        expect(jobs.filter((job) => job.pid === pid)).toHaveLength(1);
        expect(
          readProc(pid, "cgroup")
            .split("\n")
            .filter((line) => line.split("/ffrtmp-").length > 2),
        ).toEqual([]);
      }
    } finally {
      await boxes[1]?.close();
    }
  },
);
