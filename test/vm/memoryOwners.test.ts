import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { FFRTMP, isRunning, until, useSandbox } from "../support/sandbox.ts";
import { startCrun } from "../support/vm/crun.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import { useUnits } from "../support/vm/units.ts";

const sandbox = useSandbox();
const units = useUnits();
const HELD = 48 * 1024 ** 2;

/**
 * Shell code that waits for the file `go`, allocates three times the memory of the owner, and writes the exit
 * code: 137 when the kernel killed the allocation, 0 when it got all memory.
 */
const allocateIn = (directory: string): string => `
cd ${directory}
until [ -e go ]; do /bin/busybox sleep 1; done
/bin/busybox dd if=/dev/zero of=/dev/null bs=150M count=1
echo $? > code.new; /bin/busybox mv code.new code
while :; do /bin/busybox sleep 1000; done`;

/**
 * With these settings an OOM kill ends one process and not the unit, so that the exit code can be written.
 */
const SETTINGS = ["-p", `MemoryMax=${HELD}`, "-p", "OOMPolicy=continue"];

interface Owner {
  placements: string[];
  fate: string;
  start(directory: string): Promise<number>;
}

const OWNERS: Record<string, Owner> = {
  service: {
    placements: ["in-place", "nested", "scope"],
    fate: "137",
    start: (directory) => units.start("ffrtmp-memory", SETTINGS, allocateIn(directory), "sh"),
  },
  "session scope": {
    placements: ["in-place"],
    fate: "ended with its unit",
    start: (directory) => {
      const options = ["--scope", "--slice=user-0.slice", "-p", `MemoryMax=${HELD}`];
      return units.start("ffrtmp-memory", options, allocateIn(directory), "sh");
    },
  },
  "container of crun": {
    placements: ["in-place", "nested"],
    fate: "137",
    start: (directory) =>
      startCrun(units, directory.replace(/\/rootfs$/, ""), allocateIn("/"), { memory: { limit: HELD } }),
  },
};

for (const [owner, { placements, fate, start }] of Object.entries(OWNERS)) {
  for (const placement of placements) {
    vmTest(
      `a process above the memory limit of its ${owner} is killed, although ffrtmp has a higher limit: ${placement}`,
      async () => {
        const directory = sandbox().path("bundle/rootfs");
        mkdirSync(directory, { recursive: true });
        const pid = await start(directory);
        const limits = ["--memory-max", "900M", "--memory-limit", "800"];
        const words = ["attach", "--pid", String(pid), "--job-id", "held", "--placement", placement];
        const observer = sandbox().start([...words, ...limits], { stdout: "ignore", stderr: "ignore" });
        await until("the process is governed", async () => {
          if (observer.exitCode !== null) throw new Error(`attach ended with ${observer.exitCode}`);
          const { code, stdout } = await sandbox().run(["inspect", "held", "--json"]);
          return code === 0 && JSON.parse(stdout).state === "running";
        });
        expect(await fateIn(directory, pid)).toBe(fate);
        observer.kill("SIGTERM");
        await observer.exited;
        // 2: the job has ended.
        expect((await sandbox().run(["detach", "held"])).code).toBe(fate === "137" ? 0 : 2);
      },
    );
  }
}

vmTest("the memory limit of a service applies to what it starts by ffrtmp run", async () => {
  const directory = sandbox().path("run");
  mkdirSync(directory);
  const run = `${FFRTMP} run --state-path ${sandbox().state} --job-id held --memory-max 900M`;
  writeFileSync(`${directory}/script`, allocateIn(directory));
  await units.start("ffrtmp-memory", SETTINGS, `exec ${run} -- sh ${directory}/script`, "ffrtmp");
  const pid = await sandbox().pidOf("held");
  sandbox().adopt(pid);
  expect(await fateIn(directory, pid)).toBe("137");
});

/** Returns the exit code of the allocation. systemd 252 ends a whole scope after an OOM kill in it. */
async function fateIn(directory: string, pid: number): Promise<string> {
  writeFileSync(`${directory}/go`, "");
  const code = `${directory}/code`;
  await until("the allocation has ended", () => existsSync(code) || !isRunning(pid));
  return existsSync(code) ? readFileSync(code, "utf8").trim() : "ended with its unit";
}
