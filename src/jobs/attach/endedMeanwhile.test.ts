import { expect, test } from "bun:test";
import { useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { recordExit } from "../exit/recordExit.ts";
import { endingOfStatus } from "../model/ending.ts";

const { openOwner } = useGovernedFakes();

/** Attaches to a process, with a kernel that runs `onMove` in place of the move into the job's cgroup. */
function attachWith(onMove: (machine: ReturnType<typeof openOwner>) => void) {
  const machine = openOwner();
  const { host } = machine.context;
  const write = (path: string, data: string): void => {
    if (path.endsWith("/cgroup.procs")) onMove(machine);
    else host.cgroupFs.write(path, data);
  };
  machine.context.host = { ...host, cgroupFs: { ...host.cgroupFs, write } };
  machine.start(4026, 1);
  // With a second process there, the job gets a cgroup of its own.
  machine.start(4027, 1);
  const job = machine.govern(4026, { cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } });
  return recordExit(machine.context, job, endingOfStatus(0, "pidfd")).result;
}

function failWith(code: string): never {
  throw Object.assign(new Error(code), { code });
}

test("a process that ends during its attach is compliant: there was nothing left to limit", () => {
  const result = attachWith(({ reuse }) => {
    reuse(4026);
    failWith("ESRCH");
  });
  expect(result).toMatchObject({ slaCompliant: true, slaReason: "ended_before_limits" });
  expect(result.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "refused", processHadEnded: true }]);
});

test("a process that runs on after the kernel refused its move is a violation", () => {
  const result = attachWith(() => failWith("EBUSY"));
  expect(result).toMatchObject({ slaCompliant: false, slaReason: "limit_not_applied(cpu.max)" });
  expect(result.outcomes[0]).not.toHaveProperty("processHadEnded");
});
