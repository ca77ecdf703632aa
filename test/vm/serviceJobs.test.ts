import { afterAll, beforeAll, expect, setDefaultTimeout } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { eventually, until } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import { WatchService } from "../support/vm/watchService.ts";

// Jobs that are started beside the packaged service, and the command at their end, inside the service's restrictions.

setDefaultTimeout(300_000);
const isMachine = process.env["FFRTMP_VM"] !== undefined;
const service = new WatchService();
const ANSWER = "/var/lib/ffrtmp/on-end.json";

beforeAll(async () => {
  if (!isMachine) return;
  await service.install("--watch-config /etc/ffrtmp/policy.yaml");
  service.writePolicy(
    `target_commands: [no-such-workload]\non_end: [/bin/sh, -c, "cat > ${ANSWER}; cat /proc/self/cgroup >> ${ANSWER}"]\n`,
  );
  await service.systemctl("start");
});
afterAll(async () => {
  rmSync(ANSWER, { force: true });
  if (isMachine) await service.remove();
});

/** Lists the processes that wait for a job of run --detach. */
function copies(): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("--report-start");
    } catch {
      return false;
    }
  });
}

vmTest(
  "the service observes a job of run --detach, and runs the command of on_end in a cgroup of its own",
  async () => {
    const flags = ["--json", "--job-id", "handed", "--cpu-quota", "50"];
    const stdout = await service.command("run", "-d", ...flags, "--", "sh", "-c", "sleep 20; exit 7");
    const started = JSON.parse(stdout);
    const daemon = await service.mainPid();
    let hasBeenObserved = false;
    const result = await eventually("the service has observed the end", async () => {
      const { observer_pid, result: ended } = await service.json("inspect", "handed");
      hasBeenObserved ||= observer_pid === daemon;
      return ended ?? undefined;
    });
    expect(hasBeenObserved).toBe(true);
    expect(result).toMatchObject({
      pid: started.pid,
      outcome: "failed",
      exit_code: 7,
      platform_sla_compliant: true,
    });
    await until("no process waits for the job", () => copies().length === 0);
    await until(
      "the command of on_end has run",
      () => existsSync(ANSWER) && readFileSync(ANSWER, "utf8").includes("0::"),
    );
    const [json = "", cgroup] = readFileSync(ANSWER, "utf8").split(/^(?=0::)/m);
    expect(JSON.parse(json)).toMatchObject({ job_id: "handed", outcome: "failed", exit_code: 7 });
    // Not in the cgroup of the daemon, whose memory and processes it would share.
    expect(cgroup).toMatch(/^0::\/\S+ffrtmp-watch\.service\/\S+/);
    expect(await service.json("health")).toMatchObject({ health: expect.stringMatching(/healthy|degraded/) });
  },
);
