import { closeOnExec } from "../../sys/descriptor.ts";

/** A descriptor that the service manager held for us while we were away. */
export interface StoredFd {
  name: string;
  fd: number;
}

/** What a service manager tells a service that it starts: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3). */
export interface ServiceVariables {
  /** Where it listens; `undefined` when nobody does. */
  notifySocket: string | undefined;
  /** It takes us for stuck after so much silence, in µs; `undefined`: never. */
  watchdogUsec: number | undefined;
  storedFds: StoredFd[];
}

const FIRST_FD = 3;
/** Well above every FileDescriptorStoreMax= that anybody sets. */
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
 * Takes the variables of the protocol out of an environment, so that no program that is started with it later believes
 * it is the service; one that is started without naming an environment gets that of our own start, with them. Those that name another process are none of ours: a parent was the service, and they are taken out all
 * the same. The descriptors are closed on exec from here on.
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

/** A positive whole number, or nothing. */
function parseCount(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}
