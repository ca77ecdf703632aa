import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Column, renderTable } from "../output/table.ts";
import { parseTables, renderMerged } from "./tables.ts";

const ONE = `JOB     PID  CPU %  LIMITS                   COMMAND
a      4026   99.0  cpu 50 %, memory 1 GiB   ffmpeg -i  in.mp4
live-7    7      -  -                        x

TENANT  JOBS
acme       2`;

test("a table is parsed by its columns, and the last one has the rest of the line", () => {
  const [jobs, tenants] = parseTables(ONE);
  expect(jobs?.headings).toEqual(["JOB", "PID", "CPU %", "LIMITS", "COMMAND"]);
  expect(jobs?.rows).toEqual([
    ["a", "4026", "99.0", "cpu 50 %, memory 1 GiB", "ffmpeg -i  in.mp4"],
    ["live-7", "7", "-", "-", "x"],
  ]);
  expect([...(jobs?.right ?? [])]).toEqual(["PID", "CPU %"]);
  expect(tenants?.rows).toEqual([["acme", "2"]]);
});

test("the tables of several machines are one, also where one has further columns", () => {
  const [first] = parseTables("JOB  PID  COMMAND\na      7  x");
  const [second] = parseTables("JOB  PID  GPU %  COMMAND\nbb   100     12  y z");
  if (!first || !second) throw new Error("they are tables");
  expect(
    renderMerged([
      { host: "edge-1", table: first },
      { host: "edge-22", table: second },
    ]),
  ).toBe(
    [
      "HOST     JOB  PID  GPU %  COMMAND",
      "edge-1   a      7      -  x",
      "edge-22  bb   100     12  y z",
    ].join("\n"),
  );
});

test("nothing is no table", () => {
  expect(parseTables("")).toEqual([]);
  expect(parseTables("\n\n")).toEqual([]);
});

test("what a command prints is parsed as it was", () => {
  const word = fc.stringMatching(/^[a-z0-9%.-]{1,12}$/);
  const cell = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join(" "));
  fc.assert(
    fc.property(
      fc.uniqueArray(word, { minLength: 1, maxLength: 6 }),
      fc.array(fc.array(cell, { minLength: 6, maxLength: 6 }), { minLength: 1, maxLength: 5 }),
      fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
      (headings, rows, right) => {
        const columns = headings.map(
          (heading, index): Column<string[]> => ({
            heading,
            right: right[index] === true,
            text: (row) => row[index] as string,
          }),
        );
        const [table, ...others] = parseTables(renderTable(columns, rows));
        expect(others).toEqual([]);
        expect(table?.headings).toEqual(headings);
        expect(table?.rows).toEqual(rows.map((row) => row.slice(0, headings.length)));
      },
    ),
  );
});
