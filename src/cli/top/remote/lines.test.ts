import { expect, test } from "bun:test";
import fc from "fast-check";
import { someJob } from "../../../../test/support/jobs.ts";
import { someRow, someScreen } from "../../../../test/support/screens.ts";
import { jobJson } from "../../../jobs/json.ts";
import { renderScreen } from "../screen.ts";
import type { JobUseJson } from "../screenData.ts";
import { INITIAL_STATE } from "../state.ts";
import { parseRecords, parseStatsLine } from "./lines.ts";

const ROW = someRow("news", {
  quota: 1,
  hindrance: "held back by its own CPU quota for 44s",
  isLive: true,
  gpu: { memoryBytes: 1, smPercent: 2, encoderPercent: 3, decoderPercent: 4, encoderSessions: 1 },
  network: { sendBacklogSeconds: 2 },
  media: { source: "progress", speed: { factor: 0.7, overMs: 15_000 }, percent: 3, lengthSeconds: 90 },
});
const TIME = "2026-11-28T00:10:11.000Z";
const LINE = { time: TIME, ...ROW.use };

function useOf(text: string): JobUseJson {
  const parsed = parseStatsLine(text);
  if (parsed === undefined || !("use" in parsed)) throw new Error("it is no line of a job");
  return parsed.use;
}

/** Returns the paths of all values in an object. */
function pathsIn(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, each]) => pathsIn(each, [...path, key]))];
}

function withJunk(value: unknown, [key, ...rest]: readonly string[], junk: unknown): unknown {
  if (key === undefined || typeof value !== "object" || value === null) return junk;
  return { ...value, [key]: withJunk((value as Record<string, unknown>)[key], rest, junk) };
}

test("a line of this release is read as it was written", () => {
  expect(useOf(JSON.stringify(LINE))).toEqual(JSON.parse(JSON.stringify(LINE)));
  expect(parseStatsLine(`{"kind":"tenant"}`)).toBeUndefined();
  for (const text of ["", "<html>", "7", `{"kind":"job"}`]) expect(() => parseStatsLine(text)).toThrow();
});

test("whatever is missing or of another type, the screen can be drawn", () => {
  const required = ["kind", "job_id", "media"];
  const paths = pathsIn(LINE).filter(
    (path) => path.length > 0 && !(path.length === 1 && required.includes(path[0] as string)),
  );
  const junk = fc.constantFrom(undefined, null, {}, [], "x", -1, 1e300, true);
  const changes = fc.array(fc.tuple(fc.constantFrom(...paths), junk), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(changes, (each) => {
      let line: unknown = LINE;
      for (const [path, value] of each) line = withJunk(line, path, value);
      const use = useOf(JSON.stringify({ ...(line as object), kind: "job", job_id: "news" }));
      const data = someScreen([{ ...ROW, use, host: "edge-1", hindrance: use.hindrance?.text ?? null }]);
      for (const view of ["jobs", "job", "tenants"] as const) {
        const state = { ...INITIAL_STATE, view, selected: "edge-1: news" };
        const style = { hasColor: false, hasUnicode: true };
        expect(renderScreen(data, state, { columns: 120, rows: 40 }, style).lines).toHaveLength(40);
      }
    }),
    { numRuns: 200 },
  );
});

test("the records of jobs have their commands and limits, without the totals of tenants", () => {
  const limit = { limit: "cpu.max", outcome: "applied", wanted: "50000 100000", actual: "50000 100000" };
  const job = {
    ...jobJson(someJob({ jobId: "news" })),
    later: 1,
    limits: [limit, { ...limit, of: "tenant" }, { limit: "later" }],
  };
  const records = parseRecords(JSON.stringify([job, { job_id: 7 }, null]));
  expect([...records.keys()]).toEqual(["news"]);
  expect(records.get("news")).toMatchObject({ command: someJob().command, outcomes: [limit] });
});
