import { dirname } from "node:path";
import { parseCpuList } from "../../limits/grammar.ts";
import { onlyPartly } from "../../limits/outcome.ts";
import { constrainingCgroups, limitedByAncestor } from "./constraints.ts";
import type { CgroupController } from "./controller.ts";
import { type CgroupDirectory, readBack, readCgroupFile } from "./file.ts";
import { compareReadBack, type LimitFiles, type LimitWrites } from "./limitFiles.ts";

const FILE = "cpuset.cpus";

/**
 * The files that list the CPUs which a cgroup can really use: on v1 from 3.17, on v2, and on v1 before 3.17, where
 * cpuset.cpus is the only list.
 */
const EFFECTIVE = ["cpuset.effective_cpus", "cpuset.cpus.effective", FILE] as const;

/**
 * cpuset.cpus, which has the same format on v1 and v2. v1 refuses CPUs that the parent does not have. v2 keeps any list,
 * and uses the CPUs of it that the parent leaves, or all CPUs of the parent when there are none.
 */
const cpuList: Omit<LimitFiles<string>, "lift"> = {
  plan(directory, _cpus, wanted) {
    const refused = (because: string) => ({ limit: FILE, outcome: "refused", wanted, because }) as const;
    const list = parseCpuList(wanted);
    if (!list) return refused(`"${wanted}" is not a list of CPUs such as 0-3,8`);
    const cgroups = constrainingCgroups(directory, FILE);
    const machine = cgroups.map(readEffective).findLast((text) => text !== undefined && text !== "");
    const present = parseCpuList(machine ?? "") ?? list;
    const existing = list.filter((cpu) => present.includes(cpu));
    const limited = `this machine has CPUs ${machine} only`;
    if (existing.length === 0) return refused(limited);
    for (const cgroup of cgroups) {
      const text = readEffective(cgroup);
      const above = text === undefined ? undefined : parseCpuList(text);
      if (text === undefined || !above) continue;
      if (above.every((cpu) => list.includes(cpu))) return limitedByAncestor(FILE, wanted, text, cgroup.path);
      if (!directory.replaced || list.every((cpu) => above.includes(cpu))) break;
      const common = above.filter((cpu) => list.includes(cpu)).join();
      return common === "" ? refused(`${cgroup.path} allows ${text} only`) : writeCpus(wanted, common);
    }
    if (existing.length === list.length) return writeCpus(wanted, wanted);
    // The kernel refuses a list with a CPU that it does not know.
    const writes = writeCpus(wanted, existing.join());
    return { ...writes, verify: (written) => onlyPartly(writes.verify(written), limited) };
  },
  // The lists of the cgroups above are counted in already.
  read: (directory) => readEffective(directory) || undefined,
};

function writeCpus(wanted: string, data: string): LimitWrites {
  return {
    writes: [{ file: FILE, data }],
    verify(directory) {
      const written = readBack(directory, FILE);
      const used =
        "refusal" in written ? written : { readBack: readEffective(directory) ?? written.readBack };
      const list = parseCpuList(wanted)?.join();
      return compareReadBack(FILE, wanted, used, (text) => parseCpuList(text)?.join() === list);
    },
  };
}

function readEffective(directory: CgroupDirectory): string | undefined {
  for (const file of EFFECTIVE) {
    const text = readCgroupFile(directory, file);
    if (text !== undefined) return text;
  }
  return undefined;
}

/** cgroup v1 `cpuset`: Documentation/admin-guide/cgroup-v1/cpusets.rst. */
export const cpusetV1: CgroupController = {
  name: "cpuset",
  isOnDemand: true,
  limits: {
    [FILE]: {
      ...cpuList,
      lift: ({ fs, path }) => [{ file: FILE, data: readCgroupFile({ fs, path: dirname(path) }, FILE) ?? "" }],
    },
  },
  prepare({ fs, path }) {
    // A new v1 cpuset is empty, and no process can join it until it has both.
    for (const file of ["cpuset.mems", FILE])
      fs.write(`${path}/${file}`, fs.read(`${dirname(path)}/${file}`).trim());
  },
};

/** cgroup v2 `cpuset`: Documentation/admin-guide/cgroup-v2.rst. */
export const cpusetV2: CgroupController = {
  name: "cpuset",
  isOnDemand: true,
  limits: {
    [FILE]: {
      ...cpuList,
      lift({ fs, path }) {
        // A write of no bytes would not reach the kernel. The kernel empties no list of a cgroup with processes (ENOSPC);
        // all CPUs of the cgroup above limit nothing.
        const otherwise = readCgroupFile({ fs, path: dirname(path) }, "cpuset.cpus.effective");
        return [{ file: FILE, data: "\n", ...(otherwise === undefined ? {} : { otherwise }) }];
      },
    },
  },
};
