import { afterEach, expect, test } from "bun:test";
import { hostname } from "node:os";
import { operatorName } from "./operator.ts";

const KEYS = ["USER", "LOGNAME", "SUDO_USER"];
const before = KEYS.map((key) => [key, process.env[key]] as const);

afterEach(() => {
  for (const [key, value] of before)
    if (value === undefined) delete process.env[key];
    else process.env[key] = value;
});

test("the operator is the user of the process, or the one who called sudo, whatever USER says", () => {
  const user = Bun.spawnSync(["id", "-un"]).stdout.toString().trim();
  for (const key of KEYS) delete process.env[key];
  expect(operatorName()).toBe(`${user}@${hostname()}`);
  process.env["USER"] = "another";
  expect(operatorName()).toBe(`${user}@${hostname()}`);
  process.env["SUDO_USER"] = "alice";
  expect(operatorName()).toBe(`alice@${hostname()}`);
});
