import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { parseHierarchies } from "../linux/cgroup/hierarchies.ts";
import { mountsOfCgroups } from "./circumstances.ts";

const PATHS = [
  "/",
  "/sys",
  "/sys/fs",
  "/sys/fs/cgroup",
  "/sys/fs/cgroup/cpu",
  "/sys/fs/cgroup-other",
  "/srv",
];

const SOURCES = [
  ...["cgroup cgroup rw,cpu", "cgroup2 cgroup2 rw", "cgroup cgroup ro,memory", "tmpfs tmpfs rw"],
  ...["overlay overlay rw"],
];

/** Each mount is on a directory of the mount that it names as its parent. */
const mountinfos = fc
  .array(
    fc.record({ above: fc.nat(), path: fc.constantFrom(...PATHS), source: fc.constantFrom(...SOURCES) }),
    { maxLength: 12 },
  )
  .map((choices) => {
    const mounts = [{ id: 20, parent: 1, path: "/", source: "ext4 /dev/vda rw" }];
    for (const { above, path, source } of choices) {
      const possible = mounts.filter(
        (each) => path === each.path || path.startsWith(each.path.replace(/\/?$/, "/")),
      );
      const parent = possible[above % possible.length]?.id ?? 20;
      mounts.push({ id: 20 + mounts.length, parent, path, source });
    }
    const lines = mounts.map(
      ({ id, parent, path, source }) => `${id} ${parent} 0:${id} / ${path} rw shared:1 - ${source}`,
    );
    return `${lines.join("\n")}\n`;
  });

test("the lines that are kept decide about the hierarchies as all lines do", () => {
  fc.assert(
    fc.property(mountinfos, (mountinfo) => {
      expect(parseHierarchies(mountsOfCgroups(mountinfo))).toEqual(parseHierarchies(mountinfo));
    }),
    { numRuns: 2000 },
  );
});

test("another file system that is mounted beside them changes nothing", () => {
  const mountinfo = readFileSync("/proc/self/mountinfo", "utf8");
  const overlay = "900 22 0:99 / /var/lib/docker/overlay2/a/merged rw - overlay overlay rw\n";
  expect(mountsOfCgroups(`${overlay}${mountinfo}`)).toBe(mountsOfCgroups(mountinfo));
  expect(parseHierarchies(mountsOfCgroups(mountinfo))).toEqual(parseHierarchies(mountinfo));
});

test("another mount namespace has other numbers for the same mounts", () => {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").trimEnd().split("\n");
  const renumbered = lines.map((line) => {
    const [id, parent, , ...rest] = line.split(" ");
    return [Number(id) + 500, Number(parent) + 500, "0:77", ...rest]
      .join(" ")
      .replace(/ shared:\d+/, " master:3");
  });
  expect(mountsOfCgroups(`${renumbered.join("\n")}\n`)).toBe(mountsOfCgroups(`${lines.join("\n")}\n`));
});
