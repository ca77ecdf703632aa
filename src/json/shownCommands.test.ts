import { expect, test } from "bun:test";
import { someJob } from "../../test/support/jobs.ts";
import { ShownCommands } from "./shownCommands.ts";

test("commands are masked, once for each job, and forgotten with it", () => {
  const commands = new ShownCommands();
  const job = someJob({ command: ["curl", "--password", "s3cr3t"] });
  const first = commands.of([job]).get(job.key);
  expect(first).toMatchObject({ command: ["curl", "--password", "***"], isMasked: true });
  // Its record is read again and again.
  expect(commands.of([{ ...job, tenant: "acme" }]).get(job.key)).toBe(first);
  expect(commands.of([]).size).toBe(0);
  expect(commands.of([job]).get(job.key)).not.toBe(first);
});
