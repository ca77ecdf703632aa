import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { Refusal } from "../../jobs/errors.ts";
import { readSecret, writePrivate } from "../keys/privateFile.ts";
import { explainFailure } from "./connection.ts";
import { restoreStream, type SnapshotHead, saveStream } from "./snapshot.ts";
import { fleetStreams, MAX_REPLICAS } from "./streams.ts";

const PROBE = "probe.nk";
const HEAD = ".json";
const DATA = ".snapshot";

/**
 * The streams of a hub on their way to a hub of more servers, in a directory of the operator's. A server that becomes one of
 * several does not take its own streams along: it removes them after 30 s, because the others do not know them.
 */
export class StreamTransfer {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Saves all streams of a hub, anew. Returns their names. */
  async save(connection: NatsConnection): Promise<string[]> {
    this.end();
    mkdirSync(this.#directory, { mode: 0o700 });
    const manager = await jetstreamManager(connection);
    const saved: string[] = [];
    for (const name of fleetStreams()) {
      if ((await lastNumber(manager, name)) === undefined) continue;
      const head = await saveStream(connection, name, this.#path(name, DATA));
      writePrivate(this.#path(name, HEAD), JSON.stringify(head));
      saved.push(name);
    }
    return saved;
  }

  /** The key by which a server shows that it has read the users with the closed queues. */
  set probe(seed: string) {
    writePrivate(join(this.#directory, PROBE), `${seed}\n`);
  }

  get probe(): string {
    return readSecret(join(this.#directory, PROBE)).trim();
  }

  get exists(): boolean {
    return existsSync(this.#directory);
  }

  /** Makes the streams on the new hub. Those that an earlier call has made are left as they are. Returns the names of the others. */
  async restore(connection: NatsConnection, servers: number): Promise<string[]> {
    try {
      const manager = await jetstreamManager(connection);
      const restored: string[] = [];
      for (const name of this.#saved()) {
        const head: SnapshotHead = JSON.parse(readFileSync(this.#path(name, HEAD), "utf8"));
        const last = await lastNumber(manager, name);
        if (last === undefined) {
          await restoreStream(connection, head, this.#path(name, DATA), Math.min(servers, MAX_REPLICAS));
          restored.push(name);
        } else if (last < head.state.last_seq)
          throw new Refusal(
            `the hub has a stream ${name} already, which ends at ${last}, and the saved one at ${head.state.last_seq}`,
            "its servers must start with an empty directory of data",
          );
      }
      return restored;
    } catch (error) {
      throw explainFailure(error, "restore the streams of the fleet");
    }
  }

  /** Removes what was saved, at once for `exists`: a part of it, without its key, could not be restored. */
  end(): void {
    const ended = `${this.#directory}.ended`;
    rmSync(ended, { recursive: true, force: true });
    if (this.exists) renameSync(this.#directory, ended);
    rmSync(ended, { recursive: true, force: true });
  }

  /** In this order: a node that finds its claims, in the last one, reports so, which the first one must take. */
  #saved(): string[] {
    return fleetStreams().filter((name) => existsSync(this.#path(name, HEAD)));
  }

  #path(name: string, kind: string): string {
    return join(this.#directory, `${name}${kind}`);
  }
}

/** Returns the number of the last message; `undefined`: there is no such stream. */
async function lastNumber(manager: JetStreamManager, name: string): Promise<number | undefined> {
  try {
    return (await manager.streams.info(name)).state.last_seq;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound)
      return undefined;
    throw error;
  }
}
