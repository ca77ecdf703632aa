import { expect, test } from "bun:test";
import fc from "fast-check";
import { someEndedJob, someJob, someResult } from "../../../test/support/jobs.ts";
import { someSample } from "../../../test/support/samples.ts";
import type { MachineReading } from "../../metrics/machine.ts";
import { renderOnce, renderScreen } from "./screen.ts";
import type { JobRow, ScreenData } from "./screenData.ts";
import { INITIAL_STATE, type ScreenState } from "./state.ts";
import type { Style } from "./style.ts";

const PLAIN: Style = { hasColor: false, hasUnicode: false };
const FULL: Style = { hasColor: true, hasUnicode: true };

const MACHINE: MachineReading = {
  cpuCount: 16,
  cpuTicks: null,
  memoryUsedBytes: 11.2 * 2 ** 30,
  memoryTotalBytes: 64 * 2 ** 30,
  cpuWaitPercent: 4,
  memoryWaitPercent: 0,
};

function row(jobId: string, cores: number | null, different: Partial<JobRow> = {}): JobRow {
  const job = someJob({ jobId });
  const pressure = {
    cpuSomePercent: 87,
    memorySomePercent: 0,
    memoryFullPercent: 0,
    ioSomePercent: null,
    ioFullPercent: null,
  };
  const rates = {
    cpuPercent: cores && 100 * cores,
    throttledPercent: 0,
    readBytesPerSecond: 0,
    writeBytesPerSecond: null,
    pressure,
    cpuWaitPercent: null,
  };
  const sample = someSample(job, {}, { rates, intervalMs: 1000 });
  const history = Array.from({ length: 120 }, (_, index) => ({ atBootMs: 80_500 + 1000 * index, cores }));
  const command = job.command.join(" ");
  return {
    job,
    command,
    sample,
    cores,
    quotaCores: 1.5,
    memoryLimitBytes: 2 ** 31,
    history,
    hindrance: null,
    ...different,
  };
}

const ENDED = someEndedJob({ jobId: "clip-771" });

const DATA: ScreenData = {
  atMs: new Date(2026, 10, 27, 14, 7, 42).getTime(),
  hostname: "edge-03",
  rows: [
    row("vod-88213", 1.2),
    row("channel-7-1080p", 1.46, { hindrance: "its own CPU quota stopped it in 93 % of the periods" }),
    row("thumbs", null, { quotaCores: null, memoryLimitBytes: null, history: [] }),
  ],
  tenants: [],
  machine: MACHINE,
  busyPercent: 62,
  ended: [
    {
      job: ENDED,
      result: someResult(ENDED, { endMs: new Date(2026, 10, 27, 14, 7).getTime() }),
    },
  ],
};

const render = (state: Partial<ScreenState>, columns: number, rows: number, style = PLAIN) =>
  renderScreen(DATA, { ...INITIAL_STATE, ...state }, { columns, rows }, style);

test("an 80x24 terminal shows the jobs, those that are held back first, and the latest ends", () => {
  const rule = "-".repeat(80);
  expect(render({}, 80, 24).map((line) => line.trimEnd())).toEqual([
    "ffrtmp top | edge-03   3 jobs | 1 held back                 sort: cpu   14:07:42",
    "CPU ############........ 62 % of 16 | waiting 4 %   MEM 11.2 GiB of 64.0 GiB | ~",
    rule,
    "  JOB                CPU / QUOTA  2 min       THROTTLED       MEMORY / LIMIT",
    "!>channel-7-1080p    1.46 / 1.50  ##########        0 %   365 MiB / 2.00 GiB",
    "  \\ its own CPU quota stopped it in 93 % of the periods",
    "* vod-88213          1.20 / 1.50  %%%%%%%%%%        0 %   365 MiB / 2.00 GiB",
    "* thumbs                   - / -                      -          365 MiB / -",
    ...Array(13).fill(""),
    "ended     42s ago  clip-771            succeeded  exit 0        compliant",
    rule,
    "s sort  / filter  t tenants  Enter job  p pause  ? help  q quit",
  ]);
});

test("no line is wider than the terminal, and the lines fit, in every view and size", () => {
  const views = fc.constantFrom<ScreenState["view"]>("jobs", "job", "tenants", "help");
  fc.assert(
    fc.property(
      views,
      fc.integer({ min: 20, max: 200 }),
      fc.integer({ min: 1, max: 60 }),
      (view, columns, rows) => {
        for (const style of [PLAIN, FULL]) {
          const lines = render({ view }, columns, rows, style);
          expect(lines.length).toBeLessThanOrEqual(rows);
          for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
        }
      },
    ),
  );
});

test("without a UTF-8 locale everything is ASCII, and without color there is no escape sequence", () => {
  for (const view of ["jobs", "job", "tenants", "help"] as const)
    expect(render({ view }, 70, 24).join("\n")).toMatch(/^[\n -~]*$/);
});

test("a name that a terminal would obey is shown as text", () => {
  const rows = [row("x", 1, { command: "ff\u001b[2Jmpeg" })];
  const [, , , job = ""] = renderOnce({ ...DATA, rows }, INITIAL_STATE, 200, PLAIN);
  expect(job).toContain("ff\\u001b[2Jmpeg");
});

test("the filter looks at ids, tenants and commands, and the page follows the selection", () => {
  const shown = (state: Partial<ScreenState>, rows = 24) => render(state, 80, rows).join("\n");
  expect(shown({ filter: "VOD" })).toContain("vod-88213");
  expect(shown({ filter: "VOD" })).not.toContain("thumbs");
  expect(shown({ filter: "nothing" })).toContain("no job matches nothing");
  expect(shown({ selected: "thumbs" }, 8)).toContain("*>thumbs");
});

test("a job has a chart of its CPU use, its limits and what is unknown", () => {
  const text = render({ view: "job", selected: "channel-7-1080p" }, 80, 24).join("\n");
  expect(text).toContain("> channel-7-1080p   PID 4026 | run");
  expect(text).toContain("its own CPU quota stopped it in 93 % of the periods");
  expect(text).toMatch(/CPU +1\.46 of 1\.50 cores, throttled in 0 % of the periods/);
  expect(text).toMatch(/DISKS +read 0 B\/s, written -/);
});
