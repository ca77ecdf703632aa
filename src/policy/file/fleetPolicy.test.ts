import { expect, test } from "bun:test";
import { ANY_MACHINE, loadFleetPolicy } from "./fleetPolicy.ts";
import { policySchema } from "./schema.ts";

function faultsOf(text: string): string[] {
  const loaded = loadFleetPolicy(text, "fleet.yaml", ANY_MACHINE);
  return "faults" in loaded ? loaded.faults.map(({ line, key, message }) => `${line} ${key} ${message}`) : [];
}

/** A value for each key of a policy file. A new key has to be decided about: may it come over the network? */
const SAMPLES: Record<string, [value: string, mayTravel: boolean]> = {
  scan_interval: ["5s", true],
  target_commands: ["[ffmpeg]", true],
  default_limits: ["{cpu_quota: 50}", true],
  filters: ["{}", true],
  commands: ["{}", true],
  rules: ["[]", true],
  intents: ["{}", true],
  tenants: ["{}", true],
  fleet: ["follow", false],
  retention: ["{max_age: 30d}", false],
  on_end: ["/bin/true", false],
  on_end_timeout: ["5s", false],
};

test("each key of a policy file is allowed or refused in a policy of a fleet", () => {
  const shape = Object.keys((policySchema as unknown as { shape: object }).shape);
  expect(shape.toSorted()).toEqual(Object.keys(SAMPLES).toSorted());
  for (const [key, [value, mayTravel]] of Object.entries(SAMPLES)) {
    const loaded = loadFleetPolicy(`${key}: ${value}\n`, "fleet.yaml", ANY_MACHINE);
    expect([key, "policy" in loaded]).toEqual([key, mayTravel]);
    expect([key, "faults" in loaded && loaded.isForbidden]).toEqual([key, !mayTravel]);
  }
});

test("what is refused is named with its place, also where a merge brings it", () => {
  expect(faultsOf("target_commands: [a]\non_end: [/bin/sh, -c, reboot]\n")).toEqual([
    "2 on_end runs a command: a policy of a fleet cannot have it",
  ]);
  expect(faultsOf("<<: {on_end: /bin/true}\n")).toHaveLength(1);
});

test("a tenant from the environment is refused, and one from other facts is not", () => {
  const rule = (tenant: string) => `rules: [{name: a, match: {user: x}, tenant: "${tenant}"}]\n`;
  expect(faultsOf(rule("{user}"))).toEqual([]);
  for (const tenant of ["{env:SECRET}", "a/{env:SECRET}"]) expect(faultsOf(rule(tenant))).toHaveLength(1);
});

test("a policy that is not valid is no forbidden one", () => {
  const loaded = loadFleetPolicy("default_limits: {cpu_quota: lots}\n", "fleet.yaml", ANY_MACHINE);
  expect(loaded).toMatchObject({ isForbidden: false, faults: [{ line: 1 }] });
});
