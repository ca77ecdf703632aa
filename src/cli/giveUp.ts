import { readFileSync } from "node:fs";
import { listInheritedFiles } from "../jobs/start/inheritedFiles.ts";
import { realHost } from "../linux/host.ts";
import { readLink } from "../linux/proc/table.ts";
import { parseServiceVariables } from "../linux/systemd/serviceVariables.ts";
import { dropCapabilities, findUnneededCapabilities } from "../sys/capabilities.ts";
import { keepOnExec } from "../sys/descriptor.ts";
import { errnoName } from "../sys/errno.ts";
import { executeAgain } from "../sys/ownProcess.ts";
import { warn } from "./output/messages.ts";

/** Present in the environment of the second start only, so that there is no third. */
const RESTARTED = "FFRTMP_RESTARTED";

/** Descriptors that the second start gets from the first one, and a text that describes them. */
interface Handover {
  fds: number[];
  note: string;
}

/** The data that the first start passes to the second one. */
interface Kept {
  /** Sockets and pipes that stay open. */
  fds?: readonly number[];
  /** Such as `NAME=value`. */
  variables?: readonly string[];
  prepare?: (() => Handover) | undefined;
}

/** Variables that change what the runtime, its allocator or the dynamic linker does, and no feature of ffrtmp. */
const RUNTIME_VARIABLE = /^(BUN|JSC|NODE|MIMALLOC|MALLOC|LD)_|^GLIBC_TUNABLES=/;

/**
 * Starts this program again, under the same PID, if it has rights that observing does not need, or variables of
 * the runtime. Call this before anything is opened. Capabilities belong to threads, and the runtime has started
 * several before any code of ffrtmp runs: only execve(2) takes them from all.
 *
 * Not for a process that will start a workload: it would inherit the rights and the environment. `prepare`: does what needs
 * the rights. Returns its note in the second start, where there is one.
 */
export function restartWithFewerRights({
  fds = [],
  variables: added = [],
  prepare,
}: Kept = {}): string | undefined {
  const note = process.env[RESTARTED];
  const isSecondStart = note !== undefined;
  delete process.env[RESTARTED];
  const variables = readWords("/proc/self/environ");
  const needed = variables.filter((variable) => !RUNTIME_VARIABLE.test(variable));
  const hasRights = findUnneededCapabilities() !== 0n;
  if (isSecondStart) {
    if (hasRights) warnOfRights("it has them again after a new start");
    return note;
  }
  const handover = hasRights ? prepare?.() : undefined;
  const failure = hasRights ? dropCapabilities() : undefined;
  if (failure !== undefined) warnOfRights(failure);
  const keepsRights = !hasRights || failure !== undefined;
  if (keepsRights && needed.length === variables.length) return undefined;
  const given = [...(handover?.fds ?? []), ...fds];
  for (const fd of [...listKeptDescriptors(), ...given]) keepOnExec(fd);
  const bytes = (words: string[]) => words.map((word) => Buffer.from(word, "latin1"));
  const result = executeAgain(
    bytes(readWords("/proc/self/cmdline")),
    bytes([...needed, ...added, `${RESTARTED}=${handover?.note ?? ""}`]),
  );
  warnOfRights(`cannot execute ${process.execPath}: ${errnoName(result)}`);
  return undefined;
}

/**
 * Lists the descriptors that the service manager stored, and the caller's others, such as a lock. The runtime has
 * set close-on-exec on all of them. A socket that is not stored can be that of the runtime's debugger.
 */
function listKeptDescriptors(): number[] {
  const host = realHost();
  const isSocket = (fd: number) => readLink(host, `self/fd/${fd}`)?.startsWith("socket:");
  const stored = parseServiceVariables(process.env, process.pid).storedFds.map(({ fd }) => fd);
  return [...stored, ...listInheritedFiles(host).filter((fd) => !isSocket(fd))];
}

function warnOfRights(reason: string): void {
  warn(`cannot give up the capabilities that ffrtmp does not need (${reason})`);
}

/** Returns the words of a file whose words end with NUL. In latin1, every byte is a character. */
function readWords(path: string): string[] {
  return readFileSync(path, "latin1").split("\0").slice(0, -1);
}
