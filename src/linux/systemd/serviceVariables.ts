import { closeOnExec } from "../../sys/descriptor.ts";

/** A descriptor that the service manager stored while this service was not running. */
export interface StoredFd {
  name: string;
  fd: number;
}

/** The variables that a service manager sets: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3). */
export interface ServiceVariables {
  /** The address of its socket; `undefined` when it has none. */
  notifySocket: string | undefined;
  /** Timeout of the watchdog, in µs; `undefined` without a watchdog. */
  watchdogUsec: number | undefined;
  storedFds: StoredFd[];
}

const FIRST_FD = 3;
/** Well above any sensible FileDescriptorStoreMax=. */
const MAX_FDS = 1_000_000;
const NAMES = [
  "NOTIFY_SOCKET",
  "WATCHDOG_USEC",
  "WATCHDOG_PID",
  "LISTEN_FDS",
  "LISTEN_FDNAMES",
  "LISTEN_PID",
  "FDSTORE",
] as const;

/**
 * Reads the variables of a service manager and removes them from an environment, so that a program that is started with
 * this environment does not take itself for the service. (A program that is started without an explicit environment gets
 * that of our own start, which still has them.) Variables that name another process, such as a parent that is the service,
 * are removed and ignored. Sets close-on-exec on the stored descriptors.
 */
export function takeServiceVariables(environment: NodeJS.ProcessEnv, pid: number): ServiceVariables {
  const variables = parseServiceVariables(environment, pid);
  for (const name of NAMES) delete environment[name];
  return { ...variables, storedFds: variables.storedFds.filter(({ fd }) => closeOnExec(fd) >= 0) };
}

export function parseServiceVariables(environment: NodeJS.ProcessEnv, pid: number): ServiceVariables {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID } = environment;
  const watchdogUsec = parseCount(WATCHDOG_USEC);
  const isWatched = watchdogUsec !== undefined && [undefined, String(pid)].includes(WATCHDOG_PID);
  const count = LISTEN_PID === String(pid) ? (parseCount(LISTEN_FDS) ?? 0) : 0;
  const names = LISTEN_FDNAMES?.split(":") ?? [];
  return {
    notifySocket: NOTIFY_SOCKET || undefined,
    watchdogUsec: isWatched ? watchdogUsec : undefined,
    storedFds: Array.from({ length: Math.min(count, MAX_FDS) }, (_, index) => ({
      name: names[index] ?? "unknown",
      fd: FIRST_FD + index,
    })),
  };
}

function parseCount(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}
