import { readMonotonicToWallUsec } from "../../sys/clock.ts";
import { errnoName } from "../../sys/errno.ts";
import { renameOwnThreadToItself } from "../../sys/ownProcess.ts";
import type { Host } from "../host.ts";
import { isOutsideInitialNamespace } from "../proc/namespaces.ts";
import type { DroppedExecs, ExecFilterTables, NoExecFilter } from "./execFilter.ts";
import { PidfdEvents } from "./pidfdEvents.ts";
import { openProcConnector, type ProcConnector } from "./procConnector.ts";
import type { EventCounters, WantedNames, WatchedProcess } from "./processEvents.ts";
import { DEFER_MS, type EventRecord } from "./workerProtocol.ts";

const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024;
const SELF_TEST_TRIES = 10;
const SELF_TEST_TRY_MS = 50;
const HEARTBEAT_INTERVAL_MS = 10_000;
const MAX_MISSED_BEATS = 2;

const NO_EXIT_RECORDS = "this kernel reports exits by events only (before Linux 6.15)";
const TEST_PROGRAM = "/bin/true";
const TEST_NAME = "true";

interface ConnectorOptions {
  bufferBytes?: number | undefined;
  /**
   * The kernel reports the exits of all processes. Without, a watched process needs a pidfd whose exit record tells how it
   * ended (Linux 6.15); a watch without a pidfd turns the exits on.
   */
  hasExits?: boolean;
  /** See `ToWorker`. */
  isRealtime?: boolean | undefined;
  /** Drops execs under other names than those of `setNames`, where it works and exits are not reported. */
  execFilter?: ExecFilterTables | NoExecFilter | undefined;
  heartbeatIntervalMs?: number;
  openConnector?: typeof openProcConnector;
}

/**
 * Reports every exec, renaming and exit on the machine, from the process connector of the kernel.
 *
 * Needs CONFIG_PROC_EVENTS, the initial pid, user and network namespaces, and before Linux 6.6 CAP_NET_ADMIN.
 */
export class ConnectorEvents extends PidfdEvents {
  override readonly source = "connector";
  readonly #options: ConnectorOptions;
  #connector: ProcConnector | undefined;
  #hasExits: boolean;
  /** `undefined` where all execs are reported, and once exits are: the filter does not pass these. */
  #execFilter: ExecFilterTables | undefined;
  /** Why all execs are reported; `null` while the filter drops some. */
  #unfilteredBecause: string | null = "no names are set yet";
  #wantedExecs: readonly string[] | undefined;
  #toWallUsec = 0;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  /** The heartbeats that had arrived when the last one was sent. */
  #beatsBefore = -1;
  #missedBeats = 0;
  #onExec: (pid: number) => void = () => {};

  constructor(host: Host, options: ConnectorOptions = {}) {
    super(host, {
      readsUntilReaped: options.hasExits === false,
      eventDelayMs: DEFER_MS,
      isRealtime: options.isRealtime,
    });
    this.#options = options;
    this.#hasExits = options.hasExits ?? true;
  }

  override counters(): EventCounters {
    const dropped = this.#connector?.dropped() ?? null;
    const droppedRenames = this.#connector?.droppedRenames() ?? null;
    const filteredExecs = this.#unfilteredBecause === null ? (this.#execFilter?.dropped ?? null) : null;
    const received = this.counts.received + (this.thread?.counted("endedExecs") ?? 0);
    return { ...this.counts, received, dropped, droppedRenames, filteredExecs };
  }

  override watchExit(process: WatchedProcess, pidfd: number | null): void {
    if (pidfd === null && !this.#hasExits) {
      this.#hasExits = this.#connector?.includeExits() === 0;
      if (this.#hasExits) {
        this.#execFilter = undefined;
        this.#unfilteredBecause =
          "a process without a pidfd needs its exit event, which the filter would drop";
        this.#setNamesOfThread();
      }
    }
    super.watchExit(process, pidfd);
  }

  override setNames({ renamed, executed }: WantedNames): void {
    this.#connector?.filterRenames(renamed);
    this.#wantedExecs = executed;
    this.#filterExecs(executed);
    this.#setNamesOfThread();
  }

  /** The event thread does not look again at what the filter of the kernel has passed. */
  #setNamesOfThread(): void {
    this.thread?.names.set(this.#unfilteredBecause === null ? undefined : this.#wantedExecs);
  }

  #filterExecs(executed: readonly string[] | undefined): void {
    const [filter, connector] = [this.#execFilter, this.#connector];
    if (filter === undefined || connector === undefined) return;
    if (executed !== undefined) {
      filter.setNames(executed);
      if (this.#unfilteredBecause === null) return;
      const attached = connector.filterExecs(filter.programFd);
      this.#unfilteredBecause = attached === 0 ? null : `setsockopt(SO_ATTACH_BPF): ${errnoName(attached)}`;
    } else {
      if (this.#unfilteredBecause === null) connector.passAllExecs();
      this.#unfilteredBecause = "the policy names commands by a pattern or by the paths of executables";
    }
  }

  override takeDroppedExecs(): DroppedExecs | undefined {
    return this.#execFilter?.takeDropped();
  }

  override unfilteredBecause(): string | null {
    return this.#unfilteredBecause;
  }

  override async stop(): Promise<void> {
    clearInterval(this.#heartbeat);
    const connector = this.#connector;
    this.#connector = undefined;
    connector?.stopListening();
    await super.stop();
    connector?.close();
  }

  protected override async open(): Promise<string | undefined> {
    // The connector accepts requests from other namespaces without answering.
    for (const kind of ["user", "pid"] as const) {
      if (!isOutsideInitialNamespace(this.host, kind)) continue;
      return `the process connector serves only the initial ${kind} namespace, and this process is in another one (a container?)`;
    }
    const { openConnector = openProcConnector, bufferBytes = RECEIVE_BUFFER_BYTES } = this.#options;
    const connector = openConnector(bufferBytes, this.#hasExits);
    if ("reason" in connector) return connector.reason;
    this.#connector = connector;
    const reason = (await this.thread?.start(connector)) ?? connector.listen() ?? (await this.#testItself());
    if (reason !== undefined) return reason;
    await this.#startExecFilter(connector);
    const { heartbeatIntervalMs = HEARTBEAT_INTERVAL_MS } = this.#options;
    this.#heartbeat = setInterval(() => this.#checkHeartbeat(), heartbeatIntervalMs);
    return undefined;
  }

  /** Waits for an event: the kernel may ignore a request to listen silently. */
  async #testItself(): Promise<string | undefined> {
    for (let tries = 0; tries < SELF_TEST_TRIES; tries++) {
      renameOwnThreadToItself();
      for (let waitedMs = 0; waitedMs < SELF_TEST_TRY_MS; waitedMs++) {
        if (this.#countBeats() > 0) return undefined;
        await Bun.sleep(1);
      }
    }
    return "the process connector accepted the request but sent no event";
  }

  async #startExecFilter(connector: ProcConnector): Promise<void> {
    const { execFilter = { reason: "no filter was asked for" } } = this.#options;
    const reason = this.#hasExits ? NO_EXIT_RECORDS : "reason" in execFilter ? execFilter.reason : undefined;
    if (reason !== undefined || "reason" in execFilter) {
      this.#unfilteredBecause = reason ?? "";
      return;
    }
    const failure = await this.#testExecFilter(execFilter, connector).catch((error: unknown) =>
      String(error),
    );
    this.#onExec = () => {};
    connector.passAllExecs();
    if (failure === undefined) this.#execFilter = execFilter;
    else this.#unfilteredBecause = `the test of the filter failed: ${failure}`;
  }

  /** Lets the filter pass one exec and drop another. Returns how it failed. Events of others may be lost meanwhile. */
  async #testExecFilter(filter: ExecFilterTables, connector: ProcConnector): Promise<string | undefined> {
    const attached = connector.filterExecs(filter.programFd);
    if (attached < 0) return `setsockopt(SO_ATTACH_BPF): ${errnoName(attached)}`;
    const passed = new Set<number>();
    this.#onExec = (pid) => passed.add(pid);
    filter.setNames([TEST_NAME]);
    filter.takeDropped();
    const wanted = await runTestProgram();
    for (let tries = 0; tries < SELF_TEST_TRIES && !passed.has(wanted); tries++)
      await Bun.sleep(SELF_TEST_TRY_MS);
    if (!passed.has(wanted)) return "it does not pass an exec under a wanted name";
    filter.setNames([]);
    const other = await runTestProgram();
    return filter.takeDropped()?.has(other) ? undefined : "it does not drop an exec under another name";
  }

  /**
   * Renames our own thread to its present name and expects the event of it before the next call.
   *
   * Before Linux 6.6 all listeners share one counter, and a program that stops listening once too often
   * silences all of them. After one missed heartbeat events may be lost, so listening starts again; after a
   * second one in a row the source has failed.
   */
  #checkHeartbeat(): void {
    const beats = this.#countBeats();
    this.#missedBeats = beats === this.#beatsBefore ? this.#missedBeats + 1 : 0;
    this.#beatsBefore = beats;
    if (this.#missedBeats >= MAX_MISSED_BEATS) {
      this.fail("the process connector stopped sending events");
      return;
    }
    if (this.#missedBeats > 0) {
      this.#connector?.listen();
      this.#handleLoss("the process connector had stopped sending events");
    }
    renameOwnThreadToItself();
  }

  #countBeats(): number {
    return this.thread?.counted("heartbeats") ?? 0;
  }

  protected override fail(reason: string): void {
    clearInterval(this.#heartbeat);
    super.fail(reason);
  }

  protected override receive(records: Iterable<EventRecord>): void {
    this.#toWallUsec = readMonotonicToWallUsec();
    super.receive(records);
  }

  protected override handle(record: EventRecord): void {
    if (record.kind === "ready") this.watches.handleReady(record.key);
    else if (record.kind === "malformed") this.counts.malformed++;
    else if (record.kind === "overrun") {
      this.counts.overruns++;
      this.#handleLoss("the kernel dropped process events: the receive buffer was full");
    } else if (record.kind === "renames-overrun") {
      const reason = "the kernel dropped renamings of processes, which are too many to read";
      this.emit({ kind: "lost", reason });
    } else {
      this.counts.received++;
      const { kind, pid, waitStatus } = record;
      if (kind === "exit") this.watches.handleExit(pid, waitStatus);
      else if (kind === "thread-exit") this.watches.handleThreadExit(pid, waitStatus);
      else {
        if (kind === "exec") {
          this.watches.handleExec(pid);
          this.#onExec(pid);
        }
        this.emit({ kind, pid, atMs: (record.atUsec + this.#toWallUsec) / 1000 });
      }
    }
  }

  #handleLoss(reason: string): void {
    this.watches.handleLoss();
    this.emit({ kind: "lost", reason });
  }
}

/** Resolves to the pid of a child that has executed a program and ended. */
async function runTestProgram(): Promise<number> {
  const child = Bun.spawn([TEST_PROGRAM], { stdio: ["ignore", "ignore", "ignore"] });
  await child.exited;
  return child.pid;
}
