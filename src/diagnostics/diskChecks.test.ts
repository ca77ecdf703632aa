import { expect, test } from "bun:test";
import { checkDiskPriorities, checkDiskWeights } from "./diskChecks.ts";

const disk = (name: string, scheduler: string) => ({ disk: name, scheduler });

test("doctor says on which disks ionice acts, and how it would on the others", () => {
  const foundOf = (...args: Parameters<typeof checkDiskPriorities>) => {
    const { works, found } = checkDiskPriorities(...args);
    expect(works).toBeTrue();
    return found;
  };
  expect(foundOf({ considered: [disk("sda", "bfq")], ignored: [disk("nvme0n1", "none")] })).toBe(
    "ionice acts on sda: bfq, also that of intents; not on nvme0n1: none",
  );
  expect(foundOf({ considered: [], ignored: [disk("vda", "none"), disk("vdb", "kyber")] })).toStartWith(
    "ionice acts on no disk (vda: none, vdb: kyber), and intents set none. echo bfq >/sys/block/vda/queue/scheduler",
  );
  expect(foundOf({ considered: [], ignored: [] })).toStartWith("no disk of this machine is visible");
});

test("doctor says on which disks io_weight acts, and how it would on the others", () => {
  const acting = [{ disk: "sdb", by: "bfq" }];
  expect(checkDiskWeights({ acting, without: [disk("vda", "none")] }).found).toBe(
    "io_weight acts on sdb: bfq; not on vda: none",
  );
  const { works, found } = checkDiskWeights({ acting: [], without: [disk("vda", "none")] });
  expect(works).toBeTrue();
  expect(found).toStartWith(
    "io_weight acts on no disk (vda: none). echo bfq >/sys/block/vda/queue/scheduler",
  );
});
