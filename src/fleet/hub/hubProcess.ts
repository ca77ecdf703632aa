import { appendFileSync, readFileSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { Refusal } from "../../jobs/errors.ts";
import { describeErrno } from "../../sys/errno.ts";
import { lockFile } from "../../sys/fileLock.ts";
import { type NatsServer, serverEnvironment } from "./natsServer.ts";
import { HUB_FILES } from "./serverConfig.ts";

const LOCK = "up.lock";
const POLL_MS = 50;
/** A server that cannot listen ends sooner. */
const END_MS = 2000;
/** A server that still reads then keeps the second signal until it has finished. */
const RELOAD_AGAIN_MS = 500;

/** A nats-server that this process started. It ends with `stop`, and outlives this process if that is killed. */
export class HubProcess {
  readonly #child: Bun.Subprocess;
  readonly #log: string;
  readonly #logStart: number;
  #again: ReturnType<typeof setTimeout> | undefined;

  /** Throws a Refusal where a server uses the directory already. */
  constructor({ path }: NatsServer, directory: string) {
    refuseSecond(directory);
    this.#log = join(directory, HUB_FILES.log);
    try {
      // Created here, so that no other user can read it.
      appendFileSync(this.#log, "", { mode: 0o600 });
      this.#logStart = statSync(this.#log).size;
      this.#child = Bun.spawn({
        cmd: [path, "--config", HUB_FILES.config, "--log", HUB_FILES.log],
        cwd: directory,
        env: serverEnvironment(process.env),
        stdio: ["ignore", "ignore", "pipe"],
      });
    } catch (error) {
      throw new Refusal(`cannot start ${path} in ${directory}: ${describeErrno(error)}`);
    }
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Settles when the server has ended. */
  get ended(): Promise<number> {
    return this.#child.exited;
  }

  /**
   * Makes the server read its configuration again, twice: nats-server 2.15 connects a new account to the subjects that it imports
   * only when it reads the account a second time. The connections of users that are no longer there end.
   */
  reload(): void {
    this.#child.kill("SIGHUP");
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#child.kill("SIGHUP"), RELOAD_AGAIN_MS);
  }

  /** Lets the server write its state and end. */
  async stop(): Promise<void> {
    clearTimeout(this.#again);
    this.#child.kill("SIGTERM");
    await this.#child.exited;
  }

  /**
   * Calls `isReady` until it returns true. Throws a Refusal with the server's own words when the server ends before, also where
   * `isReady` has failed by then: it may have found another server, whose port this one could not take.
   */
  async waitUntil(isReady: () => Promise<boolean>): Promise<void> {
    for (;;) {
      const answer = await isReady().catch((error: unknown) => ({ error }));
      if (answer === true) return;
      const ended = await Promise.race([this.ended, Bun.sleep(answer === false ? POLL_MS : END_MS)]);
      if (ended !== undefined) throw await this.explainEnd();
      if (answer !== false) throw answer.error;
    }
  }

  async explainEnd(): Promise<Refusal> {
    const said = await new Response(this.#child.stderr as ReadableStream).text();
    const logged = readFileSync(this.#log).subarray(this.#logStart).toString();
    // [4026] 2026/11/28 00:04:46.012345 [FTL] Error listening on port: 0.0.0.0:4222, "… address already in use"
    const fault = [...logged.matchAll(/\[(?:FTL|ERR)\] (.*)/g)].at(-1)?.[1];
    const reason =
      fault ??
      said
        .trim()
        .split("\n")
        .at(-1)
        ?.replace(/^nats-server: /, "");
    return new Refusal(`nats-server ended: ${reason || "without a reason"}`, `less ${this.#log}`);
  }
}

function refuseSecond(directory: string): void {
  const lock = lockFile(join(directory, LOCK));
  if (lock === "locked")
    throw new Refusal(`another ffrtmp fleet up runs the hub in ${directory}`, "stop that one first");
  // The lock stays until this process ends.
  if (typeof lock === "object") throw new Refusal(`cannot run the hub: ${lock.reason}`);
  const pid = runningServer(directory);
  if (pid !== undefined)
    throw new Refusal(
      `a nats-server already runs in ${directory}, as PID ${pid}`,
      `stop it first: kill ${pid}`,
    );
}

/** Returns the PID of the server that was started in the directory, also by another program; `undefined` when none runs. */
function runningServer(directory: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(directory, HUB_FILES.pid), "utf8"));
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(directory) ? pid : undefined;
  } catch {
    return undefined;
  }
}
