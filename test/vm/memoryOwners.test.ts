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
 * Waits for the file `go`, then asks for three times as much memory as the owner has, and writes what became of that:
 * 137 when the kernel ended it, 0 when it was given all.
 */
const allocateIn = (directory: string): string => `
cd ${directory}
until [ -e go ]; do /bin/busybox sleep 1; done
/bin/busybox dd if=/dev/zero of=/dev/null bs=150M count=1
echo $? > code.new; /bin/busybox mv code.new code
while :; do /bin/busybox sleep 1000; done`;

/** An OOM kill is to end one process and not the unit, whose end would hide what became of it. */
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
      `what outgrows the memory of its ${owner} is ended by the kernel, whatever ffrtmp was asked for: ${placement}`,
      async () => {
        const directory = sandbox().path("bundle/rootfs");
        mkdirSync(directory, { recursive: true });
        const pid = await start(directory);
        const limits = ["--memory-max", "900M", "--memory-limit", "800"];
        const words = ["attach", "--pid", String(pid), "--job-id", "held", "--placement", placement];
        const observer = sandbox().start([...words, ...limits], { stdout: "ignore", stderr: "ignore" });
        await until("it is governed", async () => {
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

vmTest("what a service starts by ffrtmp run is held to the memory of that service", async () => {
  const directory = sandbox().path("run");
  mkdirSync(directory);
  const run = `${FFRTMP} run --state-path ${sandbox().state} --job-id held --memory-max 900M`;
  writeFileSync(`${directory}/script`, allocateIn(directory));
  await units.start("ffrtmp-memory", SETTINGS, `exec ${run} -- sh ${directory}/script`, "ffrtmp");
  const pid = await sandbox().pidOf("held");
  sandbox().adopt(pid);
  expect(await fateIn(directory, pid)).toBe("137");
});

/** What became of the allocation. systemd 252 ends a scope with all its processes when one was ended for its memory. */
async function fateIn(directory: string, pid: number): Promise<string> {
  writeFileSync(`${directory}/go`, "");
  const code = `${directory}/code`;
  await until("it has tried", () => existsSync(code) || !isRunning(pid));
  return existsSync(code) ? readFileSync(code, "utf8").trim() : "ended with its unit";
}
