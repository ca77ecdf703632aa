import { describeJobCgroup } from "../../../test/contract/cgroup.contract.ts";
import { MACHINES } from "../../../test/support/cgroupMachines.ts";

for (const machine of MACHINES) describeJobCgroup(machine);
