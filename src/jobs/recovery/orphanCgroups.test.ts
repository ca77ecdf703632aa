import { expect, test } from "bun:test";
import { makeUsable } from "../../../test/support/cgroupMachines.ts";
import { useGovernedFakes } from "../../../test/support/governedFakes.ts";
import type { Bus } from "../../linux/systemdBus.ts";
import { groupName } from "../model/jobId.ts";
import { adoptOrphanGroups } from "./orphanCgroups.ts";

const { openOwner } = useGovernedFakes();
const SILENT: Bus = {
  startTransientUnit: () => "no scope",
  readProperties: () => ({ reason: "no answer" }),
  inOneConnection: (work) => work(SILENT),
};

test.each([
  ["in its scope", "inner"],
  // A start that died, or an undoing that did, before the job's cgroup was there or after it was gone.
  ["in a scope without its cgroup", ""],
])("a job %s that the ledger does not know is adopted under its id", (_, inner) => {
  const { fake, context, start } = openOwner("cron.service", SILENT);
  const group = groupName(context.state.tag, "news");
  const scope = `/system.slice/${group}.scope`;
  const path = inner === "" ? scope : `${scope}/${group}`;
  const [hierarchy] = context.hierarchies;
  if (hierarchy === undefined) throw new Error("there is no hierarchy");
  for (const each of new Set([scope, path])) makeUsable(fake.fs, hierarchy, `/sys/fs/cgroup${each}`);
  start(10, 1, path);
  adoptOrphanGroups(context);
  expect(context.ledger.openJobs().map(({ jobId, process }) => [jobId, process?.pid])).toEqual([
    ["news", 10],
  ]);
});
