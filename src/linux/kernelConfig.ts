import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { gunzipSync } from "node:zlib";

/** The places of kernels and distributions: IKCONFIG_PROC, Debian and Red Hat, Fedora, Arch. */
const PLACES = (version: string): string[] => [
  "/proc/config.gz",
  `/boot/config-${version}`,
  `/usr/lib/modules/${version}/config`,
  `/usr/lib/modules/${version}/build/.config`,
];

/** The types and functions of the running kernel (BTF), which any user may read, and a container has too. */
const TYPES = "/sys/kernel/btf/vmlinux";

/** Returns whether the running kernel has a function that is not inlined; `undefined` where its types cannot be read. */
export function hasKernelFunction(name: string, path = TYPES): boolean | undefined {
  try {
    // The names lie in one table, each ended by NUL.
    return readFileSync(path).includes(`\0${name}\0`);
  } catch {
    return undefined;
  }
}

/** Returns the text of the configuration of the running kernel; `undefined` where it cannot be read. */
export function readKernelConfig(places = PLACES(release())): string | undefined {
  for (const path of places) {
    try {
      if (!existsSync(path)) continue;
      const content = readFileSync(path);
      return (path.endsWith(".gz") ? gunzipSync(content) : content).toString("utf8");
    } catch {
      // The next place may be readable.
    }
  }
  return undefined;
}
