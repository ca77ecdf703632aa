import { parseCpuList } from "../../limits/grammar.ts";
import type { Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { constrainingCgroups, limitedByAncestor } from "./constraints.ts";
import { type CgroupDirectory, readBack, readCgroupFile } from "./file.ts";
import { compareReadBack, type LimitWrites } from "./limitPlan.ts";

/**
 * The files that list the CPUs which a cgroup can really use: on v1 from 3.17, on v2, and on v1 before 3.17, where
 * cpuset.cpus is the only list.
 */
const EFFECTIVE = ["cpuset.effective_cpus", "cpuset.cpus.effective", "cpuset.cpus"] as const;

/**
 * Plans cpuset.cpus, the same file with the same format on v1 and v2. v1 refuses CPUs that the parent does not have. v2
 * keeps any list, and uses the CPUs of it that the parent leaves, or all CPUs of the parent when there are none.
 */
export function planCpus(directory: CgroupDirectory, { cpus }: Limits): LimitWrites | LimitOutcome {
  const wanted = cpus as string;
  const limit = "cpuset.cpus";
  const list = parseCpuList(wanted);
  if (!list)
    return { limit, outcome: "refused", wanted, because: `"${wanted}" is not a list of CPUs such as 0-3,8` };
  for (const cgroup of constrainingCgroups(directory)) {
    const text = readEffective(cgroup);
    const above = text === undefined ? undefined : parseCpuList(text);
    if (text === undefined || !above) continue;
    if (above.every((cpu) => list.includes(cpu)))
      return limitedByAncestor(limit, wanted, { text, path: cgroup.path });
    if (directory.replaced && !list.every((cpu) => above.includes(cpu))) {
      const common = above.filter((cpu) => list.includes(cpu)).join();
      return common === ""
        ? { limit, outcome: "refused", wanted, because: `${cgroup.path} allows ${text} only` }
        : writeCpus(wanted, common);
    }
    break;
  }
  return writeCpus(wanted, wanted);
}

function writeCpus(wanted: string, data: string): LimitWrites {
  const limit = "cpuset.cpus";
  const list = parseCpuList(wanted) ?? [];
  return {
    writes: [{ file: limit, data }],
    verify(directory) {
      const written = readBack(directory, limit);
      const used =
        "refusal" in written ? written : { readBack: readEffective(directory) ?? written.readBack };
      return compareReadBack(limit, wanted, used, (text) => parseCpuList(text)?.join() === list.join());
    },
  };
}

/** The CPUs that a cgroup can really use; the lists above are counted in already. */
export function readCpus(directory: CgroupDirectory): Limits {
  const cpus = readEffective(directory);
  return cpus ? { cpus } : {};
}

function readEffective(directory: CgroupDirectory): string | undefined {
  for (const file of EFFECTIVE) {
    const text = readCgroupFile(directory, file);
    if (text !== undefined) return text;
  }
  return undefined;
}
