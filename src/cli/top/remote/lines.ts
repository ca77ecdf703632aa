import { z } from "zod";
import { limitSchema } from "../../../jobs/jsonSchemas.ts";
import { jobUse, listed } from "../../../json/jobUseSchemas.ts";
import { readLeniently } from "../../../json/lenient.ts";
import { type MachineUseJson, machineUse } from "../../../json/machineSchema.ts";
import type { LimitOutcome } from "../../../limits/outcome.ts";
import type { JobUseJson } from "../screenData.ts";

/** The output of --json on another machine. Its release may be another one: values that are not as expected are `null`. */

/** What one line of `stats --json --machine` says; `undefined`: nothing that the screen shows. */
export type StatsLine = { readonly use: JobUseJson } | { readonly machine: MachineUseJson };

/** Throws for a text that is no line of `stats --json`. */
export function parseStatsLine(text: string): StatsLine | undefined {
  const value = JSON.parse(text) as unknown;
  if (typeof value !== "object" || value === null) throw new Error("it is no object");
  const { kind } = value as { kind?: unknown };
  if (kind === "machine") return { machine: readLeniently(machineUse, value) as MachineUseJson };
  if (kind !== "job") return undefined;
  const use = readLeniently(jobUse, value) as JobUseJson;
  // Every release has these.
  if (use.job_id === null || use.media === null) throw new Error("it has no job");
  return { use };
}

/** The data of a job that the screen shows and `stats` does not have. */
export interface RemoteRecord {
  readonly mode: "run" | "attach" | "watch";
  readonly command: readonly string[];
  readonly commandCut: boolean;
  readonly cwd: string | null;
  readonly intent: string | null;
  readonly outcomes: readonly LimitOutcome[];
}

/** Returns the jobs of `ps --json` by id. Throws for a text that is none. */
export function parseRecords(text: string): Map<string, RemoteRecord> {
  const list = z.array(z.unknown()).parse(JSON.parse(text));
  const records = list.map((each) => readLeniently(listed, each) as z.infer<typeof listed> | null);
  return new Map(
    records.flatMap((record) => {
      if (typeof record?.job_id !== "string") return [];
      const { mode, command, command_cut, cwd, intent, limits } = record;
      const outcomes = (limits ?? []).flatMap(({ held_by, process_had_ended, ...limit }) => {
        const { success, data } = limitSchema.safeParse(limit);
        // A total of a tenant is that of one machine.
        return success && data.of === undefined ? [data as LimitOutcome] : [];
      });
      const words = { command: command ?? [], commandCut: command_cut ?? false };
      return [[record.job_id, { mode: mode ?? "run", ...words, cwd, intent, outcomes }] as const];
    }),
  );
}
