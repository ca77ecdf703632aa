import { expect } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { FFRTMP, until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import { differencesFrom, snapshot, systemctl, useUnits } from "../support/vm/units.ts";

const sandbox = useSandbox();
const units = useUnits();
const SLICE = "ffrtmpcut.slice";
const LIMITS = ["--cpu-quota", "50", "--memory-max", "100M", "--pids-max", "30"];

const expected = (reason: RegExp) => [
  { limit: "cpu.max", outcome: "unsupported", because: expect.stringMatching(reason) },
  { limit: "memory.max", outcome: "unsupported", because: expect.stringMatching(reason) },
  { limit: "pids.max", outcome: "applied", actual: "30" },
];

function makeSlice(): void {
  const file = `/run/systemd/system/${SLICE}`;
  writeFileSync(file, "[Slice]\nDisableControllers=cpu memory\n");
  systemctl("daemon-reload");
  units.after(() => {
    systemctl("stop", SLICE);
    rmSync(file);
    systemctl("daemon-reload");
  });
}

for (const [placement, script, reason] of [
  ["in-place", "exec perl -e 'sleep 1000'", /DisableControllers/],
  ["nested", "sleep 1000 & perl -e 'sleep 1001' & wait", /DisableControllers|among them cgroup v2/],
  ["scope", "exec perl -e 'sleep 1000'", /not among the controllers/],
] as const) {
  vmTest(
    `controllers that a slice disables for its units stay disabled for an attached job: ${placement}`,
    async () => {
      makeSlice();
      const pid = await units.start("ffrtmp-cut", ["--slice", SLICE], script, "perl");
      const before = snapshot([]);
      const words = ["attach", "--pid", String(pid), "--job-id", "cut", "--placement", placement, ...LIMITS];
      const observer = sandbox().start(words, { stdout: "ignore", stderr: "ignore" });
      await until("the process is governed", async () => {
        if (observer.exitCode !== null) throw new Error(`attach ended with ${observer.exitCode}`);
        const { code, stdout } = await sandbox().run(["inspect", "cut", "--json"]);
        return code === 0 && JSON.parse(stdout).state === "running";
      });
      expect((await sandbox().json(["inspect", "cut"])).limits).toMatchObject(expected(reason));
      observer.kill("SIGTERM");
      await observer.exited;
      expect((await sandbox().run(["detach", "cut"])).code).toBe(0);
      expect(await differencesFrom(before, [])).toEqual({});
    },
  );
}

vmTest("controllers that a slice disables for its units stay disabled for a job of ffrtmp run", async () => {
  makeSlice();
  await units.start("ffrtmp-cut", ["--slice", SLICE], "exec perl -e 'sleep 1000'", "perl");
  const before = snapshot([]);
  const words = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", `--slice=${SLICE}`];
  const run = [FFRTMP, "run", "--state-path", sandbox().state, "--job-id", "cut", ...LIMITS, "--", "true"];
  const child = sandbox().spawn([...words, ...run]);
  expect(await new Response(child.stderr as ReadableStream).text()).toContain("job cut runs without cpu.max");
  expect(await child.exited).toBe(0);
  expect((await sandbox().json(["inspect", "cut"])).limits).toMatchObject(expected(/DisableControllers/));
  expect(await differencesFrom(before, [])).toEqual({});
});
