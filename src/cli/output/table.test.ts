import { describe, expect, it } from "bun:test";
import { type Column, renderTable } from "./table.ts";

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
