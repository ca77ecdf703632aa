import { chmodSync, copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The names of the recorded ledgers, which are directories of test/fixtures/ledgers. */
export const RECORDED_LEDGERS = ["v1-run-and-watch", "v1-tenants", "v2-in-place", "v2-tenants"] as const;

export type RecordedName = (typeof RECORDED_LEDGERS)[number];

export type SqlRow = Record<string, string | number | null>;

/** An object that `--json` prints. */
export type Json = Record<string, unknown>;

/** One job as `ffrtmp inspect JOB --json` prints it. */
export interface InspectedJob extends Json {
  job_id: string;
  state: "starting" | "running" | "ended";
  pid: number | null;
  cgroups: string[];
  processes: number[];
  result: Json | null;
  events: Json[];
}

/** The content of expected.json: what the recording release and the kernel said about the jobs of one ledger. */
export interface Expected {
  recorded: {
    date: string;
    /** Printed by `ffrtmp --version`. */
    ffrtmp: string;
    /** Printed by `uname -r`. */
    kernel: string;
    cgroup_version: 1 | 2;
    /** PRAGMA user_version. */
    schema_version: number;
    state_directory: string;
    /** Six hex digits in the names of the cgroups: ffrtmp-TAG-JOB. */
    tag: string;
    boot_id: string;
  };
  /** Printed by `ffrtmp ps --json`. */
  ps: Json[];
  /** Printed by `ffrtmp inspect JOB --json`, by job id. An id that was used twice has the later job here. */
  inspect: Record<string, InspectedJob>;
  /** Printed by `ffrtmp history --json`. */
  history: Json[];
  /** The tables of the ledger: `SELECT * FROM …`. */
  rows: { jobs: SqlRow[]; results: SqlRow[]; events: SqlRow[]; notes: SqlRow[] };
  /** The main processes of the running jobs, by job id. `cgroup` is the text of /proc/PID/cgroup. */
  processes: Record<string, { pid: number; cgroup: string }>;
  /**
   * The control files of the jobs' cgroups, of the tenants' groups, and of the cgroups in which these were created, by
   * path and file name. `cgroup.procs` and `cgroup.threads` are recorded for jobs and tenants only.
   */
  cgroups: Record<string, Record<string, string>>;
}

/**
 * Copies a recorded ledger into a state directory, which is created when it is missing. Returns the path of the copy,
 * which a test may change, and the content of expected.json.
 */
export function copyRecordedLedger(
  name: RecordedName,
  stateDirectory: string,
): { path: string; expected: Expected } {
  const fixture = join(import.meta.dir, "../fixtures/ledgers", name);
  const path = join(stateDirectory, "ledger.db");
  mkdirSync(stateDirectory, { recursive: true, mode: 0o750 });
  copyFileSync(join(fixture, "ledger.db"), path);
  chmodSync(path, 0o640);
  return { path, expected: JSON.parse(readFileSync(join(fixture, "expected.json"), "utf8")) as Expected };
}
