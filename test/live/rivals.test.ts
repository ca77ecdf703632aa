import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { eventually, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();

testIf(lacksLimits())("of several concurrent attaches to one process exactly one governs it", async () => {
  const box = sandbox();
  const go = box.path("go");
  const workload = box.spawn(["sh", "-c", `until [ -e ${go} ]; do sleep 0.05; done; exit 7`]);
  const rivals = Array.from({ length: 6 }, (_, index) =>
    box.start(["attach", "--pid", String(workload.pid), "--job-id", `rival-${index}`, "--cpu-weight", "50"], {
      stderr: "pipe",
    }),
  );
  await until(
    "all but one have exited",
    () => rivals.filter(({ exitCode }) => exitCode === null).length === 1,
  );
  const refused = rivals.filter(({ exitCode }) => exitCode !== null);
  for (const { exitCode, stderr } of refused) {
    expect(exitCode).toBe(2);
    const output = await new Response(stderr as ReadableStream).text();
    expect(output).toMatch(/is governed already/);
    expect(output).not.toContain("fault");
  }
  const open = await eventually("one of them governs the process", async () => {
    const jobs = await box.json(["ps"]);
    expect(jobs).toMatchObject([{ pid: workload.pid }]);
    return jobs[0].state === "running" ? jobs : undefined;
  });
  writeFileSync(go, "");
  await Promise.all(rivals.map(({ exited }) => exited));
  const results = await box.json(["history"]);
  expect(results).toMatchObject([{ job_id: open[0].job_id, exit_code: 7 }]);
  expect(box.cgroups()).toEqual([]);
});
