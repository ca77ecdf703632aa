import { describeJobCgroup } from "../../../test/fixtures/cgroupContract.ts";
import { MACHINES } from "../../../test/fixtures/cgroupMachines.ts";

for (const machine of MACHINES) describeJobCgroup(machine);
