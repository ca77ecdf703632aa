import { openSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { governedHierarchies, removeGroups } from "./lib/cgroups.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { eventually, Processes, readCpuSeconds } from "./lib/processes.ts";
import { markdownTable, ms } from "./lib/table.ts";

const PATIENCE_MS = 120_000;
const QUOTAS = { first: 50, other: 40 } as const;

/** Measures a change of the policy that concerns every job. */
export const reload: Benchmark = {
  title: "Reload: a policy that changes while jobs run",
  needs: {},
  async run({ quick }) {
    const count = quick ? 50 : 500;
    using ffrtmp = new FfrtmpUnderTest();
    const hierarchies = governedHierarchies();
    const workload = join(ffrtmp.directory, "ffb-reload");
    symlinkSync("/bin/sleep", workload);
    const policy = join(ffrtmp.directory, "policy.yaml");
    const write = (text: string): void => {
      writeFileSync(`${policy}.new`, text);
      renameSync(`${policy}.new`, policy);
    };
    const rule = (limits: string): string =>
      `rules: [{name: all, match: {command: ${basename(workload)}}, ${limits}}]\n`;
    write(rule(`limits: {cpu_quota: ${QUOTAS.first}}`));
    const log = join(ffrtmp.directory, "watch.log");
    try {
      await using processes = new Processes();
      const flags = ["watch", "--watch-config", policy, "--scan-interval", "1h"];
      const options = { env: ffrtmp.environment, stderr: openSync(log, "a") };
      const daemon = processes.start([ffrtmp.executable, ...flags], options);
      const logged = (text: string): number => readFileSync(log, "utf8").split(text).length - 1;
      await eventually("ffrtmp watch is ready", () => (logged("Watching for") > 0 ? true : undefined));
      progress(`${count} jobs`);
      for (let started = 0; started < count; started++) processes.start([workload, "600"]);
      await eventually(
        "all are governed",
        () => (logged("Attaching to") === count ? true : undefined),
        PATIENCE_MS,
      );
      await Bun.sleep(1000);

      const rows: string[][] = [];
      const measure = async (name: string, limits: string, line: string): Promise<void> => {
        progress(name);
        const before = { changed: logged(line), cpu: readCpuSeconds(daemon.pid) };
        const start = performance.now();
        write(rule(limits));
        const isDone = () => (logged(line) - before.changed >= count ? true : undefined);
        await eventually(name, isDone, PATIENCE_MS);
        const elapsedMs = performance.now() - start;
        const cpuMs = (readCpuSeconds(daemon.pid) - before.cpu) * 1000;
        rows.push([name, ms(elapsedMs), ms(elapsedMs / count), ms(cpuMs / count)]);
      };
      const changed = "has new limits or labels";
      await measure("another quota", `limits: {cpu_quota: ${QUOTAS.other}}`, changed);
      await measure("a tenant with a total", `tenant: acme, limits: {cpu_quota: ${QUOTAS.other}}`, changed);
      await measure("all are released", "ignore: true", "is released");
      return markdownTable(
        [`${count} jobs, from the write of the file to the last job`, "ms", "ms each", "CPU ms each"],
        rows,
      );
    } finally {
      removeGroups(hierarchies, ffrtmp.cgroupPrefix);
    }
  },
};
