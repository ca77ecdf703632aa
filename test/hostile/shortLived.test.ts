import { expect } from "bun:test";
import { openSync, readFileSync } from "node:fs";
import { lacksCommand, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const floodTest = testIf(lacksLimits() ?? lacksCommand("perl"));

const PROCESSES = 300;
const LIMITS = ["--cpu-quota", "50", "--memory-limit", "500"];

/** Starts processes that live 1 to 20 ms, four at a time, and collects each when the next one needs its place. */
const FLOOD = `
  my ($program, $count) = @ARGV;
  my $running = 0;
  for my $number (0 .. $count - 1) {
    if ($running == 4) { wait; $running--; }
    my $seconds = sprintf("%.3f", (1 + $number % 20) / 1000);
    my $pid = fork;
    if (!$pid) { exec $program, $seconds; }
    $running++;
  }
  1 while wait > 0;
`;

interface Result {
  platform_sla_compliant: boolean;
  platform_sla_reason: string;
  limits: { outcome: string; because?: string; process_had_ended?: true }[];
}

for (const nice of [[], ["--nice", "5"]]) {
  floodTest(
    `processes of 1 to 20 ms under watch ${nice.join(" ")} violate nothing, and each has a result`,
    async () => {
      const { name, path } = sandbox().program("sleep");
      const log = sandbox().path("watch.log");
      const text = (): string => readFileSync(log, "utf8");
      const options = { stderr: openSync(log, "w") };
      const daemon = sandbox().start(["watch", "--target", name, ...LIMITS, ...nice], options);
      await until("the daemon has scanned", async () => (await sandbox().json(["ps", "--daemon"])) !== null);

      const flood = sandbox().spawn(["perl", "-e", FLOOD, path, String(PROCESSES)]);
      expect(await flood.exited).toBe(0);
      // The daemon takes events in their order: when this one is governed, the others were considered.
      const last = sandbox().spawn([path, "600"]);
      await until("the last process is governed", () => text().includes(`Attaching to PID ${last.pid} `));
      last.kill("SIGKILL");
      await until("the last process has its result", () => text().includes(`JOB auto-${name}-${last.pid} |`));
      await until("no job is open", async () => (await sandbox().json(["ps"])).length === 0);
      daemon.kill("SIGTERM");
      await daemon.exited;

      const results: Result[] = await sandbox().json(["history", "--limit", "100000"]);
      expect(results.filter((result) => !result.platform_sla_compliant)).toEqual([]);
      expect(results.length).toBe(text().match(/ Attaching to PID /g)?.length ?? 0);
      expect(text()).not.toContain("sla=VIOLATION");
      const early = results.filter(
        ({ platform_sla_reason }) => platform_sla_reason === "ended_before_limits",
      );
      expect((await sandbox().json(["ps", "--daemon"])).ended_before_limits).toBe(early.length);
      for (const { limits } of early) {
        expect(limits.some(({ process_had_ended }) => process_had_ended)).toBe(true);
      }
      // A limit without that mark is in force.
      const others = results.flatMap(({ limits }) => limits).filter((limit) => !limit.process_had_ended);
      expect(others.filter(({ outcome }) => outcome !== "applied" && outcome !== "partial")).toEqual([]);
    },
  );
}
