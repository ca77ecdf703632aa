import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { lacksPromtool, PROMTOOL } from "../support/promtool.ts";
import { testIf } from "../support/sandbox.ts";

const RULES = join(import.meta.dir, "../../packaging/prometheus/ffrtmp.rules.yml");
const promtoolTest = testIf(lacksPromtool());

promtoolTest("promtool accepts the alert rules, and each one fires for its case", () => {
  const test = RULES.replace(/\.yml$/, ".test.yml");
  for (const args of [
    ["check", "rules", RULES],
    ["test", "rules", test],
  ]) {
    const { exitCode, stdout, stderr } = Bun.spawnSync([PROMTOOL, ...args]);
    expect({ args, exitCode, output: exitCode === 0 ? "" : `${stdout}${stderr}` }).toEqual({
      args,
      exitCode: 0,
      output: "",
    });
  }
  const names = [...readFileSync(RULES, "utf8").matchAll(/alert: (\w+)/g)].map(([, name]) => name);
  const tested = readFileSync(test, "utf8");
  expect(names.filter((name) => !tested.includes(`alertname: ${name}\n`))).toEqual([]);
});
