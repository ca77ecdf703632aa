import { expect, test } from "bun:test";
import fc from "fast-check";
import { fakeV2 } from "../../../test/support/fakeCgroups.ts";
import { procTree } from "../../../test/support/procTree.ts";
import { realHost } from "../host.ts";
import {
  ancestorsOf,
  directoryOf,
  type Hierarchy,
  parseHierarchies,
  parseMembership,
  readHierarchies,
  readMembership,
} from "./hierarchies.ts";

function brief(mountinfo: string): Record<string, string> {
  return Object.fromEntries(
    parseHierarchies(mountinfo).map(({ key, version, controllers, mountPoint, mountRoot }) => [
      key,
      `v${version} [${controllers}] ${mountRoot} at ${mountPoint}`,
    ]),
  );
}

function hierarchy(mountPoint: string, mountRoot = "/"): Hierarchy {
  return { key: "memory", version: 1, controllers: ["memory"], mountPoint, mountRoot };
}

const OTHERS = `
22 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw
27 1 253:0 / / rw,relatime shared:1 - xfs /dev/mapper/rhel-root rw,seclabel,attr2,inode64
28 23 0:24 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:4 - tmpfs tmpfs ro,seclabel,mode=755
`;

test("parseHierarchies() reads a machine with shared v1 hierarchies (Debian 10)", () => {
  const mountinfo = `${OTHERS}
28 25 0:24 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
29 25 0:25 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
33 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:15 - cgroup cgroup rw,cpu,cpuacct
34 25 0:30 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:16 - cgroup cgroup rw,memory
35 25 0:31 / /sys/fs/cgroup/net_cls,net_prio rw,nosuid,nodev,noexec,relatime shared:17 - cgroup cgroup rw,net_cls,net_prio
`;
  expect(brief(mountinfo)).toEqual({
    "": "v2 [] / at /sys/fs/cgroup/unified",
    "name=systemd": "v1 [] / at /sys/fs/cgroup/systemd",
    "cpu,cpuacct": "v1 [cpu,cpuacct] / at /sys/fs/cgroup/cpu,cpuacct",
    memory: "v1 [memory] / at /sys/fs/cgroup/memory",
    "net_cls,net_prio": "v1 [net_cls,net_prio] / at /sys/fs/cgroup/net_cls,net_prio",
  });
});

test("parseHierarchies() distinguishes controllers from SELinux and other mount options (RHEL 8)", () => {
  const mountinfo = `${OTHERS}
29 28 0:25 / /sys/fs/cgroup/systemd rw,nosuid shared:5 - cgroup cgroup rw,seclabel,xattr,release_agent=/usr/lib/systemd/systemd-cgroups-agent,name=systemd
31 28 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:6 - cgroup cgroup rw,seclabel,cpu,cpuacct
32 28 0:28 / /sys/fs/cgroup/blkio rw,nosuid shared:7 - cgroup cgroup rw,context="system_u:object_r:cgroup_t:s0:c1,c2",sync,dirsync,blkio
`;
  expect(brief(mountinfo)).toEqual({
    "name=systemd": "v1 [] / at /sys/fs/cgroup/systemd",
    "cpu,cpuacct": "v1 [cpu,cpuacct] / at /sys/fs/cgroup/cpu,cpuacct",
    blkio: "v1 [blkio] / at /sys/fs/cgroup/blkio",
  });
});

test("parseHierarchies() reads a v2-only machine (Ubuntu 22.04)", () => {
  const mountinfo = `${OTHERS}
35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
`;
  expect(brief(mountinfo)).toEqual({ "": "v2 [] / at /sys/fs/cgroup" });
});

test("parseHierarchies() reads the bind mount of a container, which starts at the cgroup of the container", () => {
  const mountinfo = `
1041 1040 0:33 /docker/9f2c1e /sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime master:20 - cgroup cgroup rw,memory
`;
  expect(brief(mountinfo)).toEqual({ memory: "v1 [memory] /docker/9f2c1e at /sys/fs/cgroup/memory" });
});

test("parseHierarchies() selects the widest of several mounts of one hierarchy", () => {
  const narrow = "50 1 0:33 /docker/9f2c1e /inner rw - cgroup cgroup rw,memory";
  const wide = "51 1 0:33 / /host/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
  const expected = { memory: "v1 [memory] / at /host/sys/fs/cgroup/memory" };
  expect(brief(`${narrow}\n${wide}\n`)).toEqual(expected);
  expect(brief(`${wide}\n${narrow}\n`)).toEqual(expected);
});

test("parseHierarchies() prefers a mount that starts in this cgroup namespace to one that starts above it", () => {
  const above = "50 1 0:33 /.. /above rw - cgroup2 cgroup2 rw";
  const inside = "51 1 0:33 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
  expect(brief(`${above}\n${inside}\n`)).toEqual({ "": "v2 [] / at /sys/fs/cgroup" });
});

test("parseHierarchies() ignores a mount that another mount covers at its mount point or above it", () => {
  const machine = `
20 1 8:1 / / rw - ext4 /dev/vda rw
21 20 0:21 / /sys rw - sysfs sysfs rw
22 21 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw`;
  const own = "31 30 0:22 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
  const expected = { "": "v2 [] / at /sys/fs/cgroup/unified" };
  expect(brief(`${machine}\n30 22 0:30 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n${own}\n`)).toEqual(expected);
  expect(brief(`${machine}\n30 21 0:30 / /sys/fs rw - tmpfs tmpfs rw\n${own}\n`)).toEqual(expected);
  expect(brief(`${machine}\n30 21 0:30 / /sys/fs rw - tmpfs tmpfs rw\n`)).toEqual({});
  // A mount beside or below the mount point does not cover it.
  const beside =
    "30 21 0:30 / /sys/fs/cgroup2 rw - tmpfs tmpfs rw\n31 22 0:30 / /sys/fs/cgroup/a rw - tmpfs tmpfs rw";
  expect(brief(`${machine}\n${beside}\n`)).toEqual({ "": "v2 [] / at /sys/fs/cgroup" });
});

test("parseHierarchies() marks a read-only mount, and prefers a writable one", () => {
  const isReadOnly = (mountinfo: string) =>
    parseHierarchies(mountinfo).map((each) => each.isReadOnly ?? false);
  const here = "50 1 0:33 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup2 rw";
  const all = "51 1 0:33 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 ro,nsdelegate";
  const writable = "52 1 0:33 / /mnt rw - cgroup2 cgroup2 rw,nsdelegate";
  expect(isReadOnly(here)).toEqual([true]);
  expect(isReadOnly(all)).toEqual([true]);
  expect(isReadOnly(writable)).toEqual([false]);
  for (const both of [`${here}\n${writable}`, `${writable}\n${here}`])
    expect(isReadOnly(both)).toEqual([false]);
});

test("parseHierarchies() decodes escaped spaces, tabs and backslashes in mount paths", () => {
  const mountinfo = "50 1 0:33 /a\\040b /mnt/my\\040c\\134groups\\011x rw - cgroup cgroup rw,cpu\n";
  expect(brief(mountinfo)).toEqual({ cpu: "v1 [cpu] /a b at /mnt/my c\\groups\tx" });
});

test("readHierarchies() reads the controllers of the v2 root", () => {
  using proc = procTree({ "self/mountinfo": fakeV2().mountinfo });
  const { fs } = fakeV2({ offers: ["cpu", "pids"] });
  expect(readHierarchies({ ...proc.host, cgroupFs: fs }).map(({ controllers }) => controllers)).toEqual([
    ["cpu", "pids"],
  ]);
});

test("readHierarchies() returns none where procfs or every cgroup mount is missing", () => {
  using empty = procTree({});
  using without = procTree({ "self/mountinfo": OTHERS });
  expect(readHierarchies(empty.host)).toEqual([]);
  expect(readHierarchies(without.host)).toEqual([]);
});

test("this process has a cgroup in each hierarchy of this machine", () => {
  const membership = readMembership(realHost(), "self");
  for (const each of readHierarchies(realHost())) {
    expect([...(membership as ReadonlyMap<string, string>).keys()]).toContain(each.key);
  }
});

test("parseMembership() reads the cgroup of each hierarchy, with ':' and line breaks other than \\n in its name", () => {
  const text =
    "11:cpu,cpuacct:/a:b/c\n4:memory:/x\ry\u2028z\n1:name=systemd:/init.scope\n0::/user.slice/a.scope\n";
  expect([...parseMembership(text)]).toEqual([
    ["cpu,cpuacct", "/a:b/c"],
    ["memory", "/x\ry\u2028z"],
    ["name=systemd", "/init.scope"],
    ["", "/user.slice/a.scope"],
  ]);
});

test("parseMembership() ignores malformed lines", () => {
  expect([...parseMembership("")]).toEqual([]);
  expect([...parseMembership("\n0::\nx:cpu:/\n4:memory\n")]).toEqual([["", ""]]);
});

test("the membership of a process that does not exist is gone", () => {
  using proc = procTree({ "7/cgroup": "0::/a\n", "7/task/8/cgroup": "0::/b\n" });
  expect(readMembership(proc.host, 7)).toEqual(new Map([["", "/a"]]));
  expect(readMembership(proc.host, 7, 8)).toEqual(new Map([["", "/b"]]));
  expect(readMembership(proc.host, 9)).toBe("gone");
  expect(readMembership(proc.host, 7, 9)).toBe("gone");
});

test.each([
  ["/", "/", "/m"],
  ["/", "/a/b", "/m/a/b"],
  ["/", "/..foo", "/m/..foo"],
  ["/docker/9f", "/docker/9f", "/m"],
  ["/docker/9f", "/docker/9f/a", "/m/a"],
])("under a mount of %s the cgroup %s has the directory %s", (mountRoot, cgroupPath, directory) => {
  expect(directoryOf(hierarchy("/m", mountRoot), cgroupPath)).toBe(directory);
});

test.each([
  ["another cgroup namespace", "/", "/../a"],
  ["the parent of this cgroup namespace", "/", "/.."],
  ["a mount that starts deeper", "/docker/9f", "/"],
  ["a sibling of the mounted one", "/docker/9f", "/docker/9f2"],
  ["a mount that starts above this cgroup namespace", "/..", "/a"],
  ["a removed cgroup", "/", "/a (deleted)"],
  ["no path at all", "/", ""],
])("%s is not visible", (_, mountRoot, cgroupPath) => {
  expect(directoryOf(hierarchy("/m", mountRoot), cgroupPath)).toBeUndefined();
});

test("ancestorsOf() returns the directories from the nearest up to the mount point", () => {
  expect(ancestorsOf(hierarchy("/sys/fs/cgroup/memory"), "/sys/fs/cgroup/memory/a/b")).toEqual([
    "/sys/fs/cgroup/memory/a",
    "/sys/fs/cgroup/memory",
  ]);
  expect(ancestorsOf(hierarchy("/sys/fs/cgroup/memory"), "/sys/fs/cgroup/memory")).toEqual([]);
});

test("parseHierarchies() returns hierarchies with absolute paths, or none, for any text", () => {
  const word = fc.oneof(
    fc.constantFrom("-", "cgroup", "cgroup2", "/", "/a", "rw,cpu", "rw", "1"),
    fc.string({ unit: "binary" }),
  );
  const line = fc.array(word, { maxLength: 14 }).map((words) => words.join(" "));
  const texts = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(line).map((lines) => lines.join("\n")),
  );
  fc.assert(
    fc.property(texts, (text) => {
      for (const each of parseHierarchies(text)) {
        expect(each.mountPoint.startsWith("/") && each.mountRoot.startsWith("/")).toBe(true);
      }
      parseMembership(text);
    }),
  );
});

test("parseMembership() reads every cgroup path that the kernel can write", () => {
  const name = fc.string({ unit: "binary", minLength: 1 }).filter((text) => !/[\n/\0]/.test(text));
  const paths = fc.array(name).map((names) => `/${names.join("/")}`);
  fc.assert(
    fc.property(paths, (path) => {
      expect(parseMembership(`4:memory:${path}\n0::/\n`).get("memory")).toBe(path);
    }),
  );
});

test("directoryOf() never returns a directory outside of the mount", () => {
  const path = fc.array(fc.constantFrom("..", "a", "docker", "9f", "")).map((names) => `/${names.join("/")}`);
  fc.assert(
    fc.property(path, fc.constantFrom("/", "/docker", "/docker/9f", "/.."), (cgroupPath, mountRoot) => {
      // No directory at all is inside of every mount.
      const directory = directoryOf(hierarchy("/m", mountRoot), cgroupPath) ?? "/m";
      expect(directory === "/m" || directory.startsWith("/m/")).toBe(true);
      expect(directory.split("/")).not.toContain("..");
    }),
  );
});
