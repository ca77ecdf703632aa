import { describe, expect, it } from "bun:test";
import { type Column, cutToWidth, renderTable } from "./table.ts";

interface Process {
  name: string;
  pid: number;
}

const COLUMNS: Column<Process>[] = [
  { heading: "NAME", text: ({ name }) => name },
  { heading: "PID", right: true, text: ({ pid }) => String(pid) },
  { heading: "AGAIN", text: ({ name }) => name },
];

describe("renderTable()", () => {
  it("aligns words left and numbers right, and leaves no blanks at the ends of lines", () => {
    const rows = [
      { name: "ffmpeg", pid: 7 },
      { name: "sh", pid: 4026 },
    ];
    expect(renderTable(COLUMNS, rows)).toBe(
      ["NAME     PID  AGAIN", "ffmpeg     7  ffmpeg", "sh      4026  sh"].join("\n"),
    );
  });

  it("shows the headings of an empty list", () => {
    expect(renderTable(COLUMNS, [])).toBe("NAME  PID  AGAIN");
  });

  it("renders as many rows as a history can have", () => {
    const rows = Array.from({ length: 1_000_000 }, (_, pid) => ({ name: "ffmpeg", pid }));
    expect(renderTable(COLUMNS, rows)).toEndWith("\nffmpeg  999999  ffmpeg");
  });

  it("measures the width of characters, not their bytes", () => {
    const lines = renderTable(COLUMNS, [
      { name: "視頻", pid: 1 },
      { name: "abcd", pid: 2 },
    ]).split("\n");
    expect(lines[1]).toBe("視頻    1  視頻");
    expect(lines[2]).toBe("abcd    2  abcd");
  });

  it("escapes control characters, so that a name stays in its line and colour", () => {
    const [, line] = renderTable(COLUMNS, [{ name: "a\n\u001b[31mb\u009b", pid: 1 }]).split("\n");
    const shown = "a\\u000a\\u001b[31mb\\u009b";
    expect(line).toBe(`${shown}    1  ${shown}`);
  });
});

describe("renderTable() in a terminal", () => {
  const job = {
    id: "transcode-001",
    limits: "cpu 150 %, memory 2 GiB",
    command: "ffmpeg -i input.mp4 out.mp4",
  };
  const columns: Column<typeof job>[] = [
    { heading: "JOB", text: ({ id }) => id },
    { heading: "TENANT", yields: 9, text: () => "-" },
    { heading: "LIMITS", yields: 2, text: ({ limits }) => limits, short: { yields: 1, text: () => "2" } },
    { heading: "COMMAND", flexible: true, text: ({ command }) => command },
  ];
  const linesOf = (width?: number) => renderTable(columns, [job], width).split("\n");

  it("shows everything where it fits, and without a width", () => {
    const whole = [
      "JOB            TENANT  LIMITS                   COMMAND",
      "transcode-001  -       cpu 150 %, memory 2 GiB  ffmpeg -i input.mp4 out.mp4",
    ];
    expect(linesOf()).toEqual(whole);
    expect(linesOf(75)).toEqual(whole);
  });

  it("leaves out empty columns first, then cuts the command, then yields in the order of the columns", () => {
    expect(linesOf(60)).toEqual([
      "JOB            LIMITS                   COMMAND",
      "transcode-001  cpu 150 %, memory 2 GiB  ffmpeg -i input.mp4…",
    ]);
    expect(linesOf(50)).toEqual([
      "JOB            LIMITS  COMMAND",
      "transcode-001  2       ffmpeg -i input.mp4 out.mp4",
    ]);
    expect(linesOf(30)).toEqual(["JOB            COMMAND", "transcode-001  ffmpeg -i inpu…"]);
  });

  it("never cuts the columns that do not yield", () => {
    expect(linesOf(5)).toEqual(["JOB            COMMAND", "transcode-001  ffmpeg…"]);
  });

  it("fits every width from there on", () => {
    for (let width = 22; width < 80; width++)
      for (const line of linesOf(width)) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(width);
  });
});

describe("cutToWidth()", () => {
  it("counts the columns of a terminal, and cuts no character in half", () => {
    expect(cutToWidth("ffmpeg", 6)).toBe("ffmpeg");
    expect(cutToWidth("ffmpeg", 5)).toBe("ffmp…");
    expect(cutToWidth("視頻視頻", 4)).toBe("視…");
    expect(cutToWidth("🎬🎬🎬", 5)).toBe("🎬🎬…");
    expect(cutToWidth("e\u0301e\u0301e\u0301", 2)).toBe("e\u0301…");
  });
});

it("lets columns yield before a flexible one gets narrower than its least width", () => {
  const columns: Column<string>[] = [
    { heading: "JOB", text: () => "movie-7" },
    { heading: "POOL", yields: 1, text: () => "live" },
    { heading: "REASON", flexible: true, minWidth: 25, text: (reason) => reason },
  ];
  const reason = "refused: the parameter height is too large";
  expect(renderTable(columns, [reason], 39)).toBe("JOB      REASON\nmovie-7  refused: the parameter height…");
  expect(renderTable(columns, [reason], 40)).toContain("POOL");
});
