import { expect, test } from "bun:test";
import { makeJob } from "../../../../test/support/cgroupJobs.ts";
import { fakeMachine } from "../../../../test/support/cgroupMachines.ts";
import { fakeV1 } from "../../../../test/support/fakeCgroups.ts";
import { readUsage } from "../jobUsage.ts";

test.each([
  // Counted in ticks, user and system are more than what was used.
  [{ usage: 2_000_000_000, user: 3_000_000_000, sys: 1_000_000_000 }, [1_500_000, 500_000]],
  [{ usage: 2_000_000_000, user: 0, sys: 1_000_000_000 }, [0, 2_000_000]],
  // Less than a tick.
  [{ usage: 3_000_000, user: 0, sys: 0 }, [3000, 0]],
  [{ usage: 0, user: 0, sys: 0 }, [0, 0]],
])("user and system time add up to the exact CPU time: %j", async ({ usage, user, sys }, expected) => {
  const fake = fakeV1();
  await using machine = fakeMachine(fake);
  const job = makeJob(machine, {});
  const directory = job.directories.find(({ controllers }) =>
    controllers.some(({ name }) => name === "cpuacct"),
  );
  for (const [file, nsec] of Object.entries({ usage, usage_user: user, usage_sys: sys }))
    fake.set(`${directory?.path}/cpuacct.${file}`, `${nsec}`);
  const { cpuUserUsec, cpuSystemUsec } = readUsage(job);
  expect([cpuUserUsec, cpuSystemUsec]).toEqual(expected);
});
