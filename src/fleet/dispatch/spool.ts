import { closeSync, constants, fsyncSync, mkdirSync, openSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod/mini";
import { errnoOf } from "../../sys/errno.ts";
import { attemptId, lossMessage, MAX_ATTEMPTS } from "../messages/job.ts";
import { signedDocument } from "../messages/signed.ts";
import { isNodeName } from "../token.ts";
import { readForeign, writeWhole } from "../trust/durableFile.ts";

// The agent and the runner share no memory and no socket: each has a directory of its own with one file per attempt, and only
// reads that of the other one. A file is replaced as a whole, so either program can be killed at any time.

/** The group may read: the two programs run as different users. No other user may read parameters of jobs. */
const [DIRECTORY_MODE, FILE_MODE] = [0o750, 0o640];
/** A signed job is a part of a message, which has at most 256 KiB. JSON in JSON doubles each quote and backslash. */
const MAX_BYTES = 1024 * 1024;

const attempt = z.int().check(z.minimum(1), z.maximum(MAX_ATTEMPTS));

/** One attempt of a job, as the agent records it before it asks the hub for the claim, and after the hub has granted it. */
export const claimRecord = z.object({
  v: z.literal(1),
  /** `offered`: another node may have it. `mine`: the hub has confirmed the claim, and the runner may start it. */
  state: z.enum(["offered", "mine"]),
  attempt,
  /** The job as the operator signed it. The runner verifies it again. */
  job: signedDocument,
  /** By which the node knows the claim as its own. */
  claim_id: z.string(),
  /** The number of the claim in the stream CLAIMS; `null`: it is not confirmed. */
  claim_seq: z._default(z.nullable(z.int().check(z.positive())), null),
  /** The boot in which this state was recorded. */
  boot_id: z.string(),
  at: z.iso.datetime(),
});

/** An attempt that has ended here, as the agent remembers it for a hub that was restored from an older backup. */
export const settledRecord = z.extend(claimRecord, {
  state: z.literal("settled"),
  /** The statement of its loss; `null`: it has a result. */
  loss: z.nullable(lossMessage),
});

/** The runner's record of an attempt that is `mine`. */
export const runnerRecord = z.object({
  v: z.literal(1),
  /**
   * `starting`: recorded before `ffrtmp run --once` is called, so it may or may not have started; the ledger knows. `started`:
   * the ledger has the job. `refused`: it has not started, and will not.
   */
  state: z.enum(["starting", "started", "refused"]),
  /** The reason of a refusal; otherwise `null`. */
  why: z.nullable(z.string()),
  boot_id: z.string(),
  at: z.iso.datetime(),
});

export type ClaimRecord = z.output<typeof claimRecord>;
export type SettledRecord = z.output<typeof settledRecord>;
export type RunnerRecord = z.output<typeof runnerRecord>;

/** The name of an attempt: the id of the job, and the number of the attempt. */
export interface AttemptName {
  readonly job: string;
  readonly attempt: number;
}

export type SpoolEntry<T> = AttemptName & { readonly record: T };

/** A file that says nothing which could be believed. `why` continues a sentence that begins with its path. */
export type SpoolFault = AttemptName & { readonly path: string; readonly why: string };

/** Records of attempts, by their names. */
export type AttemptStore<T> = Pick<Spool<T>, "names" | "readAll" | "read" | "write" | "remove">;

/** A directory with one file per attempt, `<job>.<attempt>.json`. */
export class Spool<T> {
  readonly directory: string;
  readonly #schema: z.ZodMiniType<T>;

  /** The directory is created with the first record. */
  constructor(directory: string, schema: z.ZodMiniType<T>) {
    this.directory = directory;
    this.#schema = schema;
  }

  /** Returns the names of the attempts that have a file, sorted. A directory that does not exist has none. */
  names(): AttemptName[] {
    return this.#list().flatMap((file) => parseFileName(file) ?? []);
  }

  /** Reads all files. A fault does not hide the others. Throws errors of the file system that concern the directory. */
  readAll(): { entries: SpoolEntry<T>[]; faults: SpoolFault[] } {
    const [entries, faults]: [SpoolEntry<T>[], SpoolFault[]] = [[], []];
    for (const name of this.names()) {
      const read = this.read(name);
      if (read === undefined) continue;
      if (isSpoolFault(read)) faults.push(read);
      else entries.push({ ...name, record: read });
    }
    return { entries, faults };
  }

  /** Returns the record of an attempt; `undefined` where it has no file. */
  read(name: AttemptName): T | SpoolFault | undefined {
    const path = this.#pathOf(name);
    const fault = (why: string): SpoolFault => ({ ...name, path, why });
    // Its writer can be another user.
    const file = readForeign(path, MAX_BYTES);
    if (file === "missing") return undefined;
    if ("fault" in file) return fault(file.fault);
    let json: unknown;
    try {
      json = JSON.parse(file.bytes.toString());
    } catch {
      return fault("is not JSON");
    }
    const { data, error } = this.#schema.safeParse(json);
    if (error === undefined) return data;
    const [issue] = error.issues;
    return fault(`is no record of this release: ${issue?.path.join(".")}: ${issue?.message}`);
  }

  /**
   * Records the state of an attempt in place of an earlier one. It is on the disk when this returns. Throws errors of the file
   * system, and the earlier state is kept then.
   */
  write(name: AttemptName, record: T): void {
    mkdirSync(this.directory, { recursive: true, mode: DIRECTORY_MODE });
    writeWhole(this.#pathOf(name), JSON.stringify(record), FILE_MODE);
  }

  /** Removes the record of an attempt, if there is one. It is gone from the disk when this returns. */
  remove(name: AttemptName): void {
    rmSync(this.#pathOf(name), { force: true });
    this.#flush();
  }

  #list(): string[] {
    try {
      return readdirSync(this.directory).sort();
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return [];
      throw error;
    }
  }

  #pathOf({ job, attempt: number }: AttemptName): string {
    if (!isNodeName(job)) throw new Error(`${JSON.stringify(job)} is no id of a job`);
    return join(this.directory, `${attemptId(job, number)}.json`);
  }

  /** rename(2) and unlink(2) are in the memory of the kernel until the directory is written. */
  #flush(): void {
    let fd: number;
    try {
      fd = openSync(this.directory, constants.O_RDONLY | constants.O_DIRECTORY);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return;
      throw error;
    }
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
}

export function isSpoolFault(value: unknown): value is SpoolFault {
  return typeof value === "object" && value !== null && "why" in value && "path" in value;
}

// transcode-17.2.json
function parseFileName(file: string): AttemptName | undefined {
  const [, job = "", digits = ""] = /^([^.]+)\.([1-9]\d?)\.json$/.exec(file) ?? [];
  const number = Number(digits);
  return isNodeName(job) && number <= MAX_ATTEMPTS ? { job, attempt: number } : undefined;
}
