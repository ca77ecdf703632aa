import { readFileSync } from "node:fs";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { FFRTMP, type Sandbox } from "./sandbox.ts";

/** The system calls that change the ledger or a cgroup, with the errors that the kernel can return for them. */
const ERRORS: Readonly<Record<string, readonly string[]>> = {
  openat: ["EMFILE"],
  write: ["EIO", "EINTR", "ENOMEM"],
  pwrite64: ["ENOSPC", "EIO"],
  fdatasync: ["EIO"],
  fsync: ["EIO"],
  ftruncate: ["EIO"],
  mkdirat: ["ENOMEM"],
  unlinkat: ["EBUSY"],
};

/** One failure: the kernel refuses the `call`th of these system calls, counted over `paths`. */
export interface Fault {
  syscall: string;
  call: number;
  error: string;
  paths: readonly string[];
}

/** Returns the command line that runs ffrtmp, and one failure in it. The workload's own calls do not count. */
export function withFault({ syscall, call, error, paths }: Fault, args: string[]): string[] {
  const inject = `inject=${syscall}:error=${error}:when=${call}`;
  return ["strace", "-f", "-qq", "-o", "/dev/null", ...onPaths(paths), "-e", inject, FFRTMP, ...args];
}

/** Runs ffrtmp without a failure and returns every failure that can be injected into the same command. */
export async function listFaults(
  sandbox: Sandbox,
  run: (tracer: string[]) => Promise<void>,
): Promise<Fault[]> {
  const output = sandbox.path("trace");
  await run(["strace", "-f", "-qq", "-y", "-o", output, "-e", `trace=${Object.keys(ERRORS).join()}`]);
  const mounts = readHierarchies(realHost()).map(({ mountPoint }) => `${mountPoint}/`);
  const isChanged = (path: string) =>
    path.startsWith(`${sandbox.state}/ledger.db`) || mounts.some((mount) => path.startsWith(mount));
  const calls = readFileSync(output, "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, syscall, args] = /^\d+ +(\w+)\((.*)/.exec(line) ?? [];
      if (syscall === undefined || args === undefined) return [];
      const paths = [...args.matchAll(/^\d+<([^>]*)>|"([^"]*)"/g)].map(([, fd, path]) => fd ?? path ?? "");
      const path = paths.find(isChanged);
      return path === undefined ? [] : [{ syscall, path }];
    });
  const paths = [...new Set(calls.map(({ path }) => path))];
  return Object.entries(ERRORS).flatMap(([syscall, errors]) => {
    const count = calls.filter((each) => each.syscall === syscall).length;
    const numbers = Array.from({ length: count }, (_, index) => index + 1);
    return numbers.flatMap((call) => errors.map((error) => ({ syscall, call, error, paths })));
  });
}

function onPaths(paths: readonly string[]): string[] {
  return paths.flatMap((path) => ["-P", path]);
}
