import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { metricsIn } from "../../scripts/dashboard/exportedMetrics.ts";
import { freePort } from "../support/ports.ts";
import { lacksPromtool, PROMTOOL } from "../support/promtool.ts";
import { lacksCommand, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const promtoolTest = testIf(lacksPromtool());
const liveTest = testIf(lacksLimits() ?? lacksCommand("ffmpeg"));

// biome-ignore lint/suspicious/noExplicitAny: the model of Grafana
const dashboard: any = JSON.parse(
  readFileSync(join(import.meta.dir, "../../packaging/prometheus/dashboard.json"), "utf8"),
);
const expressions: string[] = dashboard.panels.flatMap(({ targets = [] }: { targets?: { expr: string }[] }) =>
  targets.map(({ expr }) => expr),
);
const names = new Set(expressions.flatMap(metricsIn));

/** Metrics without a series on most machines, or before something goes wrong. */
const OCCASIONAL = /^ffrtmp_(sla_violations_total|job_hindered|gpu_\w+|job_gpu_\w+)$/;

test("each panel has its own place", () => {
  const taken = new Set<string>();
  for (const { gridPos } of dashboard.panels) {
    const { x, y, w, h } = gridPos;
    for (let column = x; column < x + w; column++)
      for (let row = y; row < y + h; row++) {
        expect(column).toBeLessThan(24);
        expect(taken.has(`${column}:${row}`)).toBe(false);
        taken.add(`${column}:${row}`);
      }
  }
  expect(names.size).toBeGreaterThan(10);
});

promtoolTest("Prometheus understands each expression of the dashboard", () => {
  const rules = expressions.map((expr, index) => ({
    record: `dashboard:${index}`,
    // Grafana fills them in.
    expr: expr.replaceAll("$__rate_interval", "1m").replaceAll(/\$\w+/g, ".*"),
  }));
  const file = sandbox().path("rules.yml");
  writeFileSync(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
  const { exitCode, stdout, stderr } = Bun.spawnSync([PROMTOOL, "check", "rules", file]);
  expect({ exitCode, output: exitCode === 0 ? "" : `${stdout}${stderr}` }).toEqual({
    exitCode: 0,
    output: "",
  });
});

liveTest("each metric of the dashboard is one that watch exports for a real job", async () => {
  const receiver = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { name, path } = sandbox().program("ffmpeg");
  const address = `127.0.0.1:${freePort()}`;
  const limits = ["--cpu-quota", "90", "--memory-limit", "500"];
  sandbox().start(["watch", "--target", name, "--scan-interval", "100ms", "--listen", address, ...limits]);
  const read = async () =>
    (await fetch(`http://${address}/metrics`)
      .then((response) => response.text())
      .catch(() => "")) as string;
  await until("watch answers", async () => (await read()) !== "");
  const start = (words: string) =>
    sandbox().spawn([
      path,
      ..."-nostdin -v error -re -f lavfi -i testsrc2=s=64x64".split(" "),
      ...words.split(" "),
    ]);
  start(`-f mpegts -progress ${sandbox().path("progress")} tcp://127.0.0.1:${receiver.port}`);
  start("-t 1 -f null -");
  let missing: string[] = [];
  await until("all metrics have a series", async () => {
    const text = await read();
    missing = [...names].filter((each) => !OCCASIONAL.test(each) && !RegExp(`^${each}[{ ]`, "m").test(text));
    return missing.length === 0;
  }).catch((error: Error) => {
    throw new Error(`${error.message}; missing: ${missing.join(", ")}`);
  });
  receiver.stop(true);
  expect(missing).toEqual([]);
});
