import { expect, test } from "bun:test";
import fc from "fast-check";
import { someRow, someScreen } from "../../../test/support/screens.ts";
import type { JobDetail } from "./jobView.ts";
import { renderOnce, renderScreen } from "./screen.ts";
import type { ScreenData, ScreenHost, ScreenJob } from "./screenData.ts";
import { INITIAL_STATE, type ScreenState, type View } from "./state.ts";
import type { Style } from "./style.ts";

const ASCII: Style = { hasColor: false, hasUnicode: false };
const PLAIN: Style = { hasColor: false, hasUnicode: true };
const FULL: Style = { hasColor: true, hasUnicode: true };

const VIEWS: View[] = ["jobs", "job", "command", "log", "tenants", "help"];

const CHANNEL = someRow("channel-7-1080p", {
  command: ["ffmpeg", "-re", "-i", "/srv/in/7.ts", "-f", "flv", "rtmp://live.example/app/***"],
  tenant: "acme",
  cores: 1.46,
  quota: 1.5,
  memoryMax: 2 ** 31,
  throttled: 93,
  isLive: true,
  hindrance: "held back by its own CPU quota for 3m10s; raise it to about 2.4 cores",
  media: { source: "progress", speed: { factor: 0.63, overMs: 15_000 }, mediaSeconds: 301 },
  network: {
    bytes: { sent: 90e6, received: 0, retransmitted: 18_000 },
    rates: {
      sentBytesPerSecond: 300_000,
      receivedBytesPerSecond: 0,
      deviceSentBytesPerSecond: null,
      deviceReceivedBytesPerSecond: null,
    },
    sendBacklogBytes: 1.7e6,
    sendBacklogSeconds: 9.1,
    windowLimitedPercent: 93,
  },
  history: [0.7, 0.7, 0.72, 0.7, 0.68, 0.7, 1, 1, 1, 1],
});

const DATA = someScreen([
  someRow("vod-88213", {
    tenant: "blue",
    cores: 1.2,
    quota: 2,
    media: {
      source: "input",
      speed: { factor: 2.48, overMs: 15_000 },
      percent: 43,
      lengthSeconds: 3000,
      mediaSeconds: 1290,
      remainingSeconds: 690,
    },
  }),
  CHANNEL,
  someRow("vod-88214", {
    cores: 12.08,
    media: {
      source: "input",
      speed: { factor: 2.31, overMs: 15_000 },
      percent: 99,
      isEstimate: true,
      state: "finishing",
    },
  }),
  someRow("cam-roof", { cores: 0.4, media: { source: "log", state: "stuck", percent: 30 } }),
  someRow("thumbs-batch", { cores: 0.02, quota: 1 }),
  someRow("自動-ffmpeg-4026", { cores: null, network: null }),
]);

const DETAIL: JobDetail = {
  timeline: [
    { atMs: DATA.atMs - 60_000, text: "cpu.max was changed to max; set to 150000 100000 again" },
    { atMs: DATA.atMs - 90_000_000, text: "started by ffrtmp run, PID 4026" },
  ],
  log: { lines: Array.from({ length: 40 }, (_, index) => `line ${index + 1}`) },
};

function someHost(name: string, different: Partial<ScreenHost> = {}): ScreenHost {
  const { machine } = DATA;
  return { name, trouble: null, isConnecting: false, machine, busyPercent: 62, jobs: 1, ...different };
}

const SILENT = someHost("root@10.0.0.7", { trouble: "no answer for 12 s", jobs: 3 });
const CONNECTING = { trouble: "connecting", isConnecting: true, machine: null, busyPercent: null, jobs: 0 };

/** The jobs of several machines. */
const MACHINES = someScreen(
  ["edge-1", "edge-2"].map((host) => ({ ...someRow("news", { cores: 0.5, quota: 1 }), host })),
  {
    hostname: "4 machines",
    hosts: [someHost("edge-1"), SILENT, someHost("edge-2"), someHost("edge-3", CONNECTING)],
    slaPercent: null,
    ended: [],
  },
);

function render(
  state: Partial<ScreenState>,
  columns: number,
  rows: number,
  style = ASCII,
  data: ScreenData = DATA,
) {
  const shown = renderScreen(data, { ...INITIAL_STATE, ...state }, { columns, rows }, style, DETAIL);
  return shown.lines.map((line) => line.trimEnd());
}

test("at 80x24: the hindered job first with the reason, then the stuck one, tenants, and how jobs ended", () => {
  expect(render({}, 80, 24, PLAIN)).toEqual([
    "ffrtmp top · edge-03    6 jobs · 1 hindered · SLA 24h 99.8 %      1 s · 14:07:42",
    "CPU ████████████▍         62 % of 16 · waiting  4 %   MEM 11G/64G · waiting  0 %",
    "─────────────────────────────────────────────────────────────────── sort: cpu ──",
    "   JOB                SPEED  CPU/QUOTA 2 min       THR MEM/LIMIT   OUT      LEFT",
    ">▲ channel-7-1080p    0.63×  1.46/1.50 ██████████  93% 365M/2.0G 2.4Mb      live",
    "   └ held back by its own CPU quota for 3m10s; raise it to about 2.4 cores",
    " ▲ cam-roof               –  0.40/   – ▄▄▄▄▄▄▄▄▄▄    – 365M/   –     –     stuck",
    " ● vod-88214          2.31×~ 12.1/   – ██████████    – 365M/   –     – finishing",
    " ● vod-88213          2.48×  1.20/2.00 ▅▅▅▅▅▅▅▅▅▅   0% 365M/   –     – █▎    12m",
    " ○ thumbs-batch           –  0.02/1.00 ▁▁▁▁▁▁▁▁▁▁   0% 365M/   –     –         –",
    " ● 自動-ffmpeg-4026       –     –/   –               – 365M/   –     –         –",
    ...Array(9).fill(""),
    "─".repeat(80),
    " tenants  acme 1 job 1.46 cores 365M 2.4 Mb/s   blue 1 job 1.20 cores 365M",
    " ended 14:07:31 clip-771     12s exit 0, parent           compliant",
    " ⏎ job  s sort  / filter  t tenants  p pause  ? help  q quit         ~ estimated",
  ]);
});

test("at 120x40 there are also tenants, what is received, and disks", () => {
  expect(render({ order: "job" }, 120, 40, PLAIN)).toEqual([
    "ffrtmp top · edge-03    6 jobs · 1 hindered · SLA 24h 99.8 %                                              1 s · 14:07:42",
    "CPU ████████████▍         62 % of 16 · waiting  4 %                                           MEM 11G/64G · waiting  0 %",
    "─────────────────────────────────────────────────────────────────────────────────────────────────────────── sort: job ──",
    "   JOB                TENANT       SPEED  CPU/QUOTA 2 min       THR MEM/LIMIT    IN   OUT  READ WRITE      LEFT",
    ">▲ channel-7-1080p    acme         0.63×  1.46/1.50 ██████████  93% 365M/2.0G    0b 2.4Mb     0     –      live",
    "   └ held back by its own CPU quota for 3m10s; raise it to about 2.4 cores",
    " ▲ cam-roof           –                –  0.40/   – ▄▄▄▄▄▄▄▄▄▄    – 365M/   –     –     –     0     –     stuck",
    " ○ thumbs-batch       –                –  0.02/1.00 ▁▁▁▁▁▁▁▁▁▁   0% 365M/   –     –     –     0     –         –",
    " ● vod-88213          blue         2.48×  1.20/2.00 ▅▅▅▅▅▅▅▅▅▅   0% 365M/   –     –     –     0     – █▎    12m",
    " ● vod-88214          –            2.31×~ 12.1/   – ██████████    – 365M/   –     –     –     0     – finishing",
    " ● 自動-ffmpeg-4026   –                –     –/   –               – 365M/   –     –     –     0     –         –",
    ...Array(25).fill(""),
    "─".repeat(120),
    " tenants  acme 1 job 1.46 cores 365M 2.4 Mb/s   blue 1 job 1.20 cores 365M",
    " ended 14:07:31 clip-771     12s exit 0, parent           compliant",
    " ⏎ job  s sort  / filter  t tenants  p pause  ? help  q quit                                                 ~ estimated",
  ]);
});

test("a narrow terminal has the columns that matter most, in ASCII where the locale is not UTF-8", () => {
  expect(render({}, 60, 16, ASCII)).toEqual([
    "ffrtmp top  6 jobs | 1 hindered               1 s | 14:07:42",
    "CPU 62 % of 16 | waiting  4 %  MEM 11G/64G | waiting  0 %",
    "----------------------------------------------- sort: cpu --",
    "   JOB                SPEED  CPU/QUOTA  THR      LEFT",
    ">! channel-7-1080p    0.63x  1.46/1.50  93%      live",
    "   \\ held back by its own CPU quota for 3m10s; raise it to",
    "     about 2.4 cores",
    " ! cam-roof               -  0.40/   -    -     stuck",
    " * vod-88214          2.31x~ 12.1/   -    - finishing",
    " * vod-88213          2.48x  1.20/2.00   0% #..   12m",
    " o thumbs-batch           -  0.02/1.00   0%         -",
    " * 自動-ffmpeg-4026       -     -/   -    -         -",
    "-".repeat(60),
    " tenants  acme 1 job 1.46 cores 365M 2.4 Mb/s   1 more: t",
    " ended 14:07:31 clip-771     12s exit 0, parent           c~",
    " Enter job  s sort  / filter  t tenants  ? help  q quit",
  ]);
});

test("the smallest terminal, where not all jobs fit", () => {
  expect(render({ selected: "vod-88213" }, 40, 8, ASCII)).toEqual([
    "6 jobs | 1 hindered       1 s | 14:07:42",
    "CPU 62 % of 16  MEM 11G/64G",
    "-------- sort: cpu | jobs 2 to 4 of 6 --",
    "   JOB        SPEED  CPU/QUOTA      LEFT",
    " ! cam-roof       -  0.40/   -     stuck",
    " * vod-88214  2.31x~ 12.1/   - finishing",
    ">* vod-88213  2.48x  1.20/2.00 #..   12m",
    " Enter job  s sort  ? help  q quit",
  ]);
});

test("the view of one job at 80x24", () => {
  expect(render({ view: "job", selected: "channel-7-1080p" }, 80, 24, PLAIN)).toEqual([
    "ffrtmp top › channel-7-1080p       pid 4026 · run · tenant acme · 1 s · 14:07:42",
    "ffmpeg -re -i /srv/in/7.ts -f flv rtmp://live.example/app/***",
    "───────────────────────────────────────────────────── charts: the last 10 min ──",
    "▲ held back by its own CPU quota for 3m10s; raise it to about 2.4 cores",
    "SPEED     0.63×  over 15 s, from progress                 live · 5m01s processed",
    "  1.0 ⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀┄┄┄┄┄┄┄⣀⣀⣀⣀⣀⣀⣀⡸⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉",
    "                                    ⠉⠉⠉⠉⠉⠉⠉",
    "    0",
    "CPU       1.46 of 1.50 cores                    throttled in 93 % of its periods",
    "  1.5 ┄┄┄┄┄┄┄┄┄┄┄┄┄┄⢀⣀⣀⣀⣀⣀⣀⣀⡀┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄⡸⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉",
    "      ⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠁       ⠈⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉",
    "    0",
    "WAITS     CPU 87 %   memory 0 %   IO –   of the time",
    "MEMORY    365 MiB of 2.00 GiB",
    "NETWORK   1 TCP connection · 1.70 MB (9.1 s) wait to be sent · its receiver slo…",
    "          → 2.4 Mb/s · 90.0 MB sent · 0.02 % sent again",
    "IO        read 0 B/s, written –",
    "PROCESSES 1",
    "LIMITS    cpu 150 %, memory 2 GiB, all applied",
    "─".repeat(80),
    "            14:06:42  cpu.max was changed to max; set to 150000 100000 again",
    " 2026-11-26 13:07:42  started by ffrtmp run, PID 4026",
    "",
    " ← back  c command line  l log  p pause  ? help  q quit",
  ]);
});

test("the view of one job says what it is sure of and what it needs, as far as that is known", () => {
  const linesOf = (different: Partial<ScreenJob["use"]>) => {
    const jobs = DATA.jobs.map((row) => ({ ...row, use: { ...row.use, ...different } }));
    const lines = render({ view: "job", selected: "channel-7-1080p" }, 80, 24, PLAIN, { ...DATA, jobs });
    return lines.filter((line) => line.startsWith("SURE"));
  };
  const need = { need_cores: 0.4, need_sample_seconds: 1, need_while_keeping_up: true };
  expect(linesOf({ sure_cores: 0.22, ...need })).toEqual([
    "SURE      of 0.22 cores when everything is busy   needs 0.40",
  ]);
  expect(linesOf({ sure_cores: null, ...need, need_sample_seconds: 10 })).toEqual(["SURE      needs ~0.40"]);
  expect(linesOf({ sure_cores: 0, need_cores: null })).toEqual([
    "SURE      of 0.00 cores when everything is busy",
  ]);
  expect(linesOf({ sure_cores: null, need_cores: null })).toEqual([]);
});

test("a job that will fall behind is marked in the list and in its view, unless more is wrong with it", () => {
  const shortfall =
    "vod-88213 is sure of 0.22 cores and needs 0.40: it will fall behind when the machine is full";
  const jobs = DATA.jobs.map((row) =>
    ["vod-88213", "channel-7-1080p"].includes(row.job.jobId)
      ? { ...row, use: { ...row.use, sure_cores: 0.22, cpu_shortfall: shortfall } }
      : row,
  );
  const linesOf = (state: Parameters<typeof render>[0]) =>
    render(state, 80, 24, PLAIN, { ...DATA, jobs }).map((line) => line.trimEnd());
  const list = linesOf({});
  const at = list.findIndex((line) => line.startsWith(" ● vod-88213"));
  expect(list.slice(at + 1, at + 3)).toEqual([
    "   └ vod-88213 is sure of 0.22 cores and needs 0.40: it will fall behind when",
    "     the machine is full",
  ]);
  expect(list.filter((line) => line.includes("will fall behind"))).toHaveLength(1);
  expect(linesOf({ view: "job", selected: "vod-88213" })).toContain(
    "          it will fall behind when the machine is full",
  );
});

test("the view of one job at 120x40 in ASCII, with larger charts", () => {
  expect(render({ view: "job", selected: "channel-7-1080p" }, 120, 40, ASCII)).toEqual([
    "ffrtmp top > channel-7-1080p                                               pid 4026 | run | tenant acme | 1 s | 14:07:42",
    "ffmpeg -re -i /srv/in/7.ts -f flv rtmp://live.example/app/***",
    "--------------------------------------------------------------------------------------------- charts: the last 10 min --",
    "! held back by its own CPU quota for 3m10s; raise it to about 2.4 cores",
    "SPEED     0.63x  over 15 s, from progress                                                         live | 5m01s processed",
    "  1.0 ...................................................................._|''''''''''''''''''''''''''''''''''''''''''''",
    "                                                                          |",
    "      ''''''''''''''''''''''''''''''''''''''''''''''''''''''''''''''''''''",
    ...Array(3).fill(""),
    "    0",
    "CPU       1.46 of 1.50 cores                                                            throttled in 93 % of its periods",
    "  1.5 .....................................................................|--------------------------------------------",
    "                                                                          |",
    "      '''''''''''''''''''''''''''''''''''''''''''''------------'''''''''''",
    ...Array(3).fill(""),
    "    0",
    "WAITS     CPU 87 %   memory 0 %   IO -   of the time",
    "MEMORY    365 MiB of 2.00 GiB",
    "NETWORK   1 TCP connection | 1.70 MB (9.1 s) wait to be sent | its receiver slows it 93 % of the time",
    "          -> 2.4 Mb/s | 90.0 MB sent | 0.02 % sent again",
    "IO        read 0 B/s, written -",
    "PROCESSES 1",
    "LIMITS    cpu 150 %, memory 2 GiB, all applied",
    "-".repeat(120),
    "            14:06:42  cpu.max was changed to max; set to 150000 100000 again",
    " 2026-11-26 13:07:42  started by ffrtmp run, PID 4026",
    ...Array(9).fill(""),
    " Esc back  c command line  l log  p pause  ? help  q quit",
  ]);
});

test("the totals of tenants", () => {
  expect(render({ view: "tenants" }, 80, 12, PLAIN)).toEqual([
    "ffrtmp top · edge-03    6 jobs · 1 hindered · SLA 24h 99.8 %      1 s · 14:07:42",
    "CPU ████████████▍         62 % of 16 · waiting  4 %   MEM 11G/64G · waiting  0 %",
    "─".repeat(80),
    " TENANT    JOBS HINDERED     CPU / QUOTA      MEMORY / LIMIT        OUT",
    " acme         1        1        1.46 / –         365 MiB / –   2.4 Mb/s",
    " blue         1        0        1.20 / –         365 MiB / –          –",
    ...Array(5).fill(""),
    " ← back  p pause  ? help  q quit",
  ]);
});

test("a log is shown from its end, and the command line in whole", () => {
  expect(render({ view: "log", selected: "channel-7-1080p", scroll: 3 }, 50, 10, PLAIN)).toEqual([
    "ffrtmp top › channel-7-1080p › log",
    "ffmpeg -re -i /srv/in/7.ts -f flv rtmp://live.exa…",
    "────────────────────────── lines 32 to 37 of 40 ──",
    "line 32",
    "line 33",
    "line 34",
    "line 35",
    "line 36",
    "line 37",
    " ← back  c command line  p pause  ? help  q quit",
  ]);
});

test("a terminal that is too small shows how large it has to be", () => {
  expect(render({}, 30, 5, PLAIN)).toEqual(["30x5 is too small for ffrtmp", "top: it needs 40x8"]);
});

test("no line is wider than the terminal, and the lines fill it, in every view and size", () => {
  const sizes = [fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 60 })] as const;
  const selected = fc.constantFrom("channel-7-1080p", "vod-88214", "自動-ffmpeg-4026", "gone", null);
  fc.assert(
    fc.property(fc.constantFrom(...VIEWS), selected, ...sizes, (view, id, columns, rows) => {
      for (const style of [ASCII, FULL]) {
        const state = { ...INITIAL_STATE, view, selected: id };
        for (const data of [DATA, MACHINES]) {
          const { lines } = renderScreen(data, state, { columns, rows }, style, DETAIL);
          expect(lines.length).toBeLessThanOrEqual(rows);
          for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
          expect(lines.length === rows || columns < 40 || rows < 8).toBe(true);
        }
      }
    }),
  );
});

test("without a UTF-8 locale everything but names is ASCII, and without color there is no escape sequence", () => {
  const jobs = DATA.jobs.filter(({ job }) => !job.jobId.startsWith("自"));
  for (const view of VIEWS) {
    const shown = render({ view, selected: "channel-7-1080p" }, 70, 60, ASCII, someScreen(jobs));
    expect(shown.join("\n")).toMatch(/^[\n -~]*$/);
  }
});

test("with --on, each machine has a line and each job its machine", () => {
  expect(render({ selected: "edge-2: news" }, 80, 24, PLAIN, MACHINES).slice(0, 9)).toEqual([
    "ffrtmp top · 4 machines    2 jobs                                 1 s · 14:07:42",
    "edge-1         CPU ██████▎     62 % of 16  MEM 11G/64G         1 job",
    "root@10.0.0.7  ▲ no answer for 12 s; it had 3 jobs",
    "edge-2         CPU ██████▎     62 % of 16  MEM 11G/64G         1 job",
    "edge-3         connecting",
    "─────────────────────────────────────────────────────────────────── sort: cpu ──",
    "   HOST   JOB        SPEED  CPU/QUOTA 2 min       THR MEM/LIMIT   OUT      LEFT",
    " ● edge-1 news           –  0.50/1.00 ▅▅▅▅▅▅▅▅▅▅   0% 365M/   –     –         –",
    ">● edge-2 news           –  0.50/1.00 ▅▅▅▅▅▅▅▅▅▅   0% 365M/   –     –         –",
  ]);
  expect(render({ view: "job", selected: "edge-2: news" }, 80, 24, PLAIN, MACHINES)[0]).toStartWith(
    "ffrtmp top › edge-2: news ",
  );
  const gone = render({ view: "job", selected: "edge-9: news" }, 80, 24, PLAIN, MACHINES);
  expect(gone.join("\n")).toContain("all details: ssh edge-9 ffrtmp inspect news");
});

test("of many machines, those that do not answer are named first, then the busiest, and the others are counted", () => {
  const names = Array.from({ length: 30 }, (_, index) => `edge-${index + 1}`);
  const hosts = names.map((name, index) => someHost(name, index === 20 ? SILENT : { busyPercent: index }));
  const data = { ...MACHINES, hosts: hosts.map((host, index) => ({ ...host, name: names[index] ?? "" })) };
  const shown = render({}, 80, 12, PLAIN, data).slice(1, 5);
  expect(shown.map((line) => line.replace(/ .*/, ""))).toEqual(["edge-21", "edge-30", "edge-29", "and"]);
  expect(shown.at(-1)).toBe("and 27 more");
  // A pipe has room for all.
  const once = renderOnce(data, INITIAL_STATE, 80, PLAIN);
  expect(once.filter((line) => line.startsWith("edge-"))).toHaveLength(30);
});

test("color marks the live job that falls behind, and not a file job that only takes longer", () => {
  const file = someRow("vod", { hindrance: "held back by its own CPU quota for 44s" });
  const shown = render({ selected: "other" }, 80, 24, FULL, someScreen([file, CHANNEL, someRow("other")]));
  const [live, , batch] = shown.slice(4);
  expect(live).toStartWith(" \u001b[33m▲\u001b[0m channel-7-1080p");
  expect(live).toContain("\u001b[31m0.63× \u001b[0m");
  expect(batch).toStartWith(" ▲ vod");
  expect(shown[8]).toStartWith("\u001b[7m>● other");
  const [wide] = render({ selected: "自動" }, 80, 24, FULL, someScreen([someRow("自動")])).slice(4);
  expect(Bun.stringWidth(wide ?? "")).toBe(80);
});

test("names, commands and logs that a terminal would obey are shown as text, and cannot break a line", () => {
  const bad = "ff\u001b[2J\r\nm\u202epeg";
  const job = someRow("x", { command: [bad], tenant: bad, hindrance: bad });
  const detail: JobDetail = { timeline: [{ atMs: 0, text: bad }], log: { lines: [bad] } };
  for (const view of VIEWS) {
    const state = { ...INITIAL_STATE, view, selected: "x" };
    const { lines } = renderScreen(someScreen([job]), state, { columns: 120, rows: 24 }, PLAIN, detail);
    expect(lines.join("")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  }
  expect(renderOnce(someScreen([job]), INITIAL_STATE, 200, PLAIN).join("\n")).toContain(
    "ff\\u001b[2J\\u000d\\u000am\\u202epeg",
  );
});

test("the filter looks at ids, tenants and commands, and the page follows the selection", () => {
  const shown = (state: Partial<ScreenState>, rows = 24) => render(state, 80, rows).join("\n");
  expect(shown({ filter: "VOD" })).toContain("vod-88213");
  expect(shown({ filter: "VOD" })).not.toContain("thumbs");
  expect(shown({ filter: "live.example" })).toContain("filter: live.example");
  expect(shown({ filter: "nothing" })).toContain("no job matches nothing");
  expect(shown({ selected: "thumbs-batch" }, 8)).toContain(">o thumbs-batch");
  expect(shown({ selected: "thumbs-batch" }, 8)).toMatch(/sort: cpu \| jobs 3 to 5 of 6/);
});

test("the order of the list: amounts from the largest, speeds from the slowest, hindered jobs always first", () => {
  const ids = (order: ScreenState["order"]) =>
    renderScreen(DATA, { ...INITIAL_STATE, order }, { columns: 80, rows: 24 }, ASCII).ids.slice(2, 4);
  expect(ids("cpu")).toEqual(["vod-88214", "vod-88213"]);
  expect(ids("speed")).toEqual(["vod-88214", "vod-88213"]);
  expect(ids("job")).toEqual(["thumbs-batch", "vod-88213"]);
  expect(ids("tenant")).toEqual(["thumbs-batch", "vod-88214"]);
});

test("a job that uses a GPU adds a column, and the machine's GPUs a line", () => {
  const gpu = {
    memoryBytes: 2 ** 30,
    smPercent: 12,
    encoderPercent: 0,
    decoderPercent: 87,
    encoderSessions: 1,
  };
  const device = {
    kind: "gpu" as const,
    index: 0,
    name: "NVIDIA H200",
    sm_percent: 30,
    encoder_percent: 0,
    decoder_percent: 87,
    memory_bytes: 4.2 * 2 ** 30,
    memory_total_bytes: 140 * 2 ** 30,
  };
  const data = someScreen([someRow("nvdec", { gpu }), someRow("cpu-only")], { devices: [device] });
  const [, , gpus, , heading, ...rows] = render({}, 80, 24, PLAIN, data);
  expect(gpus).toBe("GPU 30% · enc 0% · dec 87% · mem 4.2G/140G");
  expect(heading).toBe("   JOB        SPEED  CPU/QUOTA 2 min  THR  GPU MEM/LIMIT   OUT      LEFT");
  expect(rows[1]).toBe(" ● nvdec          –  1.00/   – █████    –  87% 365M/   –     –         –");
  expect(render({ view: "job", selected: "nvdec" }, 80, 24, PLAIN, data)).toContain(
    "GPU       compute 12 % · encoder 0 % · decoder 87 % · memory 1.00 GiB · 1 encod…",
  );
});

test("a daemon that measures is named, and one that does not answer is said", () => {
  const by = (different: Partial<ScreenData>) =>
    render({}, 80, 24, PLAIN, someScreen([], different)).slice(0, 4);
  expect(by({ source: "daemon" })[0]).toEndWith("watch · 1 s · 14:07:42");
  expect(by({ sourceNote: "ffrtmp watch does not answer: measured here" })[2]).toContain(
    " ffrtmp watch does not answer: measured here · sort: cpu ",
  );
  expect(by({})[3]).toBe("no job is running");
});

test("the view of a job that has ended says how, and shows no other job", () => {
  const shown = render({ view: "job", selected: "clip-771" }, 80, 24, PLAIN);
  expect(shown).toContain("job clip-771 has ended: exit 0, parent");
  expect(shown.join("\n")).not.toContain("PROCESSES");
});

test("in a pipe nothing is cut, and all of a command is shown", () => {
  const lines = renderOnce(DATA, INITIAL_STATE, Number.POSITIVE_INFINITY, PLAIN);
  expect(lines[3]).toMatch(/^ {3}JOB .* LEFT +COMMAND$/);
  expect(lines[4]).toMatch(
    /^ ▲ channel-7-1080p .* ffmpeg -re -i \/srv\/in\/7\.ts -f flv rtmp:\/\/live\.example\/app\/\*\*\*$/,
  );
  expect(lines.at(-1)).toBe(" ended 14:07:31 clip-771     12s exit 0, parent           compliant");
});
