import { expect, test } from "bun:test";
import { fakeV1, fakeV2 } from "../../../test/support/fakeCgroups.ts";
import { CGROUP_LIMITS, LIMITS } from "../../limits/table.ts";
import { controllersOf } from "./backends.ts";

test.each([
  ["v1", fakeV1()],
  ["v2", fakeV2()],
] as const)("every limit of the table has a controller on %s that applies and lifts it", (version, fake) => {
  const controllers = fake.hierarchies.flatMap(controllersOf);
  for (const name of CGROUP_LIMITS) {
    const able = controllers.filter(({ limits }) => limits[name]);
    expect(able.map((controller) => controller.name)).toEqual([LIMITS[name][version].controller]);
  }
});
