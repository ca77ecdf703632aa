import type { Host } from "../../linux/host.ts";
import { listDescriptors } from "../../linux/proc/descriptors.ts";
import { hasEnded, readStat } from "../../linux/proc/stat.ts";
import { visible } from "../../linux/proc/table.ts";
import { askSockDiag } from "../../sys/sockDiag.ts";
import { type ByteCounts, Connection, type ConnectionReading } from "./connection.ts";
import { type DeviceBytes, haveNamespaceAlone, readDevices } from "./devices.ts";
import {
  type ConnectionId,
  type ConnectionState,
  encodeDump,
  encodeQuery,
  endsAnswer,
  FAMILIES,
  parseDump,
  parseState,
} from "./inetDiag.ts";
import { NamespaceSockets, networkNamespaceOf } from "./namespaceSockets.ts";

/** The age at which the list of a job's sockets is read again. A job connects in its first seconds. */
const LIST_INTERVAL_MS = 10_000;
const FIRST_LIST_INTERVAL_MS = 1000;

/** The TCP connections of a job at one time, and the bytes of its own devices. `null` is unknown. */
export interface JobNetwork {
  readonly connections: number;
  /**
   * The bytes of all connections that were seen, each from its start on. What a connection moved between its last reading
   * and its end is missing.
   */
  readonly bytes: ByteCounts;
  /** Bytes that wait in the kernel until the other side has acknowledged them. */
  readonly sendBacklogBytes: number;
  /** The same in seconds at the rate at which the job writes; of the connection with the most. */
  readonly sendBacklogSeconds: number | null;
  /** Bytes that have arrived and that the job has not read. */
  readonly receiveBacklogBytes: number;
  /** The time in which receivers' windows held the sending back, of all connections that were seen together. */
  readonly windowLimitedUsec: number | null;
  /** The part of the time in which a receiver's window held the sending back, 0 to 100; of the connection with the most. */
  readonly windowLimitedPercent: number | null;
  /** Since the reading before, of the connections that were known then. */
  readonly rates: NetworkRates | null;
  /** Only in a network namespace that this job has alone: all protocols, UDP included. */
  readonly devices: DeviceBytes | null;
}

export interface NetworkRates {
  readonly sentBytesPerSecond: number | null;
  readonly receivedBytesPerSecond: number | null;
  readonly deviceSentBytesPerSecond: number | null;
  readonly deviceReceivedBytesPerSecond: number | null;
}

/** A job to read, by any key that stays the same. */
export interface NetworkSubject {
  readonly key: string;
  readonly pids: readonly number[];
}

/** The sockets of one job, and its counters at the last reading. */
class Known {
  /** By the text of the descriptor. `undefined`: no TCP connection, or not one yet. */
  sockets = new Map<string, Connection | undefined>();
  listedAtMs = Number.NEGATIVE_INFINITY;
  /** When it was read first. */
  readonly seenAtMs: number;
  /** The namespace that this job has alone, and a process in it. */
  alone: { namespace: string; pid: number } | undefined;
  totals: ByteCounts = { sent: 0, received: 0, retransmitted: 0 };
  windowLimitedUsec: number | null = 0;
  devices: DeviceBytes | null = null;
  readAtMs: number | undefined;

  constructor(seenAtMs: number) {
    this.seenAtMs = seenAtMs;
  }

  get namespaces(): string[] {
    return [...this.sockets.values()].flatMap((connection) => connection?.namespace ?? []);
  }
}

/**
 * Reads what jobs send and receive. The connections of a job are those of the sockets among the descriptors of its
 * processes. Each is asked for by a question of its own, which takes the kernel 2 µs; all connections of a network
 * namespace are listed only when a job has a new socket.
 */
export class NetworkReader {
  readonly #host: Host;
  readonly #sockets: NamespaceSockets;
  readonly #known = new Map<string, Known>();

  constructor(host: Host) {
    this.#host = host;
    this.#sockets = new NamespaceSockets(host);
  }

  /** Reads these jobs, and keeps the counters of the others. A job whose connections are not visible is missing in the answer. */
  async read(jobs: readonly NetworkSubject[]): Promise<Map<string, JobNetwork>> {
    const lists: Lists = new Map();
    const found = new Map<string, JobNetwork>();
    for (const job of jobs) {
      const nowMs = this.#host.bootNow();
      const own = this.#known.get(job.key) ?? new Known(nowMs);
      const isYoung = nowMs - own.seenAtMs < LIST_INTERVAL_MS;
      const isListed = nowMs - own.listedAtMs < (isYoung ? FIRST_LIST_INTERVAL_MS : LIST_INTERVAL_MS);
      if (!isListed && !(await this.#list(job, own, lists))) {
        this.#known.delete(job.key);
        continue;
      }
      this.#known.set(job.key, own);
      found.set(job.key, this.#readJob(own));
    }
    this.#sockets.closeExcept(new Set([...this.#known.values()].flatMap(({ namespaces }) => namespaces)));
    return found;
  }

  forget(keys: Iterable<string>): void {
    for (const key of keys) this.#known.delete(key);
  }

  forgetExcept(keys: ReadonlySet<string>): void {
    this.forget([...this.#known.keys()].filter((key) => !keys.has(key)));
  }

  close(): void {
    this.#sockets.close();
  }

  /** Lists the sockets of a job again. Returns false where a process hides them: the sums would be too low. */
  async #list(job: NetworkSubject, own: Known, lists: Lists): Promise<boolean> {
    const sockets: Known["sockets"] = new Map();
    const namespaces = new Set<string>();
    for (const pid of job.pids) {
      const namespace = networkNamespaceOf(this.#host, pid);
      const descriptors = visible(() => listDescriptors(this.#host, pid));
      if (namespace === undefined || descriptors === undefined) {
        const stat = visible(() => readStat(this.#host, pid));
        if (stat === undefined || hasEnded(stat)) continue;
        return false;
      }
      namespaces.add(namespace);
      for (const { target } of descriptors) {
        const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
        if (inode === undefined || sockets.has(target)) continue;
        const known = own.sockets.get(target);
        const list = known ? undefined : await this.#listNamespace(namespace, pid, lists);
        if (list === "not visible") return false;
        const id = list?.get(Number(inode));
        sockets.set(target, known ?? (id && new Connection(namespace, id)));
      }
    }
    own.sockets = sockets;
    own.alone = this.#namespaceOf(namespaces, job.pids);
    own.listedAtMs = this.#host.bootNow();
    return true;
  }

  async #listNamespace(namespace: string, pid: number, lists: Lists): Promise<NamespaceList> {
    const known = lists.get(namespace);
    if (known !== undefined) return known;
    const socket = await this.#sockets.open(namespace, pid);
    const list = socket < 0 ? "not visible" : listConnections(socket);
    lists.set(namespace, list);
    return list;
  }

  #namespaceOf(namespaces: ReadonlySet<string>, pids: readonly number[]): Known["alone"] {
    const [namespace] = namespaces;
    const pid = pids.find((each) => networkNamespaceOf(this.#host, each) === namespace);
    if (namespace === undefined || pid === undefined || namespaces.size > 1) return undefined;
    if (namespace === networkNamespaceOf(this.#host, "self")) return undefined;
    return haveNamespaceAlone(this.#host, pids) ? { namespace, pid } : undefined;
  }

  #readJob(own: Known): JobNetwork {
    const nowMs = this.#host.bootNow();
    const readings: ConnectionReading[] = [];
    for (const connection of own.sockets.values()) {
      const state = connection && this.#query(connection);
      if (state) readings.push(connection.compare(state, nowMs));
      // It has been closed: another one may have taken its place.
      else if (connection) own.listedAtMs = Number.NEGATIVE_INFINITY;
    }
    for (const kind of ["sent", "received", "retransmitted"] as const)
      own.totals[kind] = add([own.totals[kind], ...readings.map(({ increase }) => increase[kind])]);
    own.windowLimitedUsec = add([
      own.windowLimitedUsec,
      ...readings.map(({ windowLimitedUsec }) => windowLimitedUsec),
    ]);
    const { alone, devices: earlier, readAtMs } = own;
    const isStillThere = alone && networkNamespaceOf(this.#host, alone.pid) === alone.namespace;
    const devices = (isStillThere && readDevices(this.#host, alone.pid)) || null;
    own.devices = devices;
    own.readAtMs = nowMs;
    // A new connection may be older than the reading before, which did not know it.
    const known = readings.filter(({ isFirst }) => !isFirst);
    const elapsedMs = readAtMs === undefined ? 0 : nowMs - readAtMs;
    const perSecond = (amount: number | null) => (amount === null ? null : (1000 * amount) / elapsedMs);
    const isRateKnown = known.length > 0 || readings.length === 0;
    const rateOf = (kind: "sent" | "received") =>
      isRateKnown ? perSecond(add(known.map(({ increase }) => increase[kind]))) : null;
    const byDevices = (of: keyof DeviceBytes) =>
      earlier === null || devices === null || devices[of] < earlier[of]
        ? null
        : perSecond(devices[of] - earlier[of]);
    return {
      connections: readings.length,
      bytes: { ...own.totals },
      sendBacklogBytes: add(readings.map(({ sendQueueBytes }) => sendQueueBytes)) ?? 0,
      sendBacklogSeconds: largest(readings.map(({ backlogSeconds }) => backlogSeconds)),
      receiveBacklogBytes: add(readings.map(({ receiveQueueBytes }) => receiveQueueBytes)) ?? 0,
      windowLimitedUsec: own.windowLimitedUsec,
      windowLimitedPercent: largest(known.map(({ windowLimitedPercent }) => windowLimitedPercent)),
      rates:
        elapsedMs <= 0
          ? null
          : {
              sentBytesPerSecond: rateOf("sent"),
              receivedBytesPerSecond: rateOf("received"),
              deviceSentBytesPerSecond: byDevices("sent"),
              deviceReceivedBytesPerSecond: byDevices("received"),
            },
      devices,
    };
  }

  /** Returns the state of a connection; `undefined`: it does not exist any more. */
  #query({ namespace, id }: Connection): ConnectionState | undefined {
    const socket = this.#sockets.get(namespace);
    return socket === undefined ? undefined : parseState(askSockDiag(socket, encodeQuery(id), endsAnswer));
  }
}

/** The connections of a network namespace by the inode numbers of their sockets. */
type NamespaceList = Map<number, ConnectionId> | "not visible";
type Lists = Map<string, NamespaceList>;

function listConnections(socket: number): Map<number, ConnectionId> {
  return new Map(
    FAMILIES.flatMap((family) => [...parseDump(askSockDiag(socket, encodeDump(family), endsAnswer))]),
  );
}

/** Returns the sum; `null`: a part is unknown. */
function add(values: readonly (number | null)[]): number | null {
  return values.reduce((sum, value) => (sum === null || value === null ? null : sum + value), 0);
}

/** Returns the largest value; `null`: one is unknown, or there is none. */
function largest(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 || known.length < values.length ? null : Math.max(...known);
}
