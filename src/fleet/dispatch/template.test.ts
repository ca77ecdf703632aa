import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { faultText } from "../../policy/file/fault.ts";
import { parseTemplate, readTemplate } from "./template.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

const EXAMPLE = {
  command: ["ffmpeg", "-nostdin", "-i", "{input}", "-vf", "scale=-2:{height}", "{output}"],
  params: {
    input: { type: "url", schemes: ["https"], hosts: ["*.media.example"] },
    height: { type: "number", min: 144, max: 2160, whole: true },
    output: { type: "path", under: "/srv/out", suffix: [".mp4"], insert: ".{job}.{attempt}" },
  },
  limits: { cpu_quota: 400, memory_max: "4GiB", io_max: ["8:0 rbps=50MB/s"] },
  env: { TZ: "UTC" },
  sla_eligible: true,
  tenant: "acme",
};

function faultsOf(change: object): string[] {
  const parsed = parseTemplate(stringify({ ...EXAMPLE, ...change }));
  return "faults" in parsed
    ? parsed.faults.map((fault) => `${faultText("t", fault)} (${fault.right})`.replace(/^t:\d+:\d+: /, ""))
    : [];
}

test("a template is read as words, parameters and options of run", () => {
  const parsed = parseTemplate(stringify(EXAMPLE));
  if ("faults" in parsed) throw new Error(JSON.stringify(parsed.faults));
  const { command, options, env, workdir } = parsed.value;
  expect(command[5]).toEqual([{ literal: "scale=-2:" }, { param: "height" }]);
  expect(options).toEqual([
    ...[
      "--cpu-quota=400",
      "--memory-max=4GiB",
      "--io-max=8:0 rbps=50MB/s",
      "--sla-eligible",
      "--tenant=acme",
    ],
  ]);
  expect({ env, workdir }).toEqual({ env: { TZ: "UTC" }, workdir: "/" });
});

test("a file NAME.yaml is the template NAME, and no other name leads to a file", () => {
  writeFileSync(join(directory, "hls.yaml"), stringify(EXAMPLE), { mode: 0o644 });
  expect(readTemplate("hls", directory)?.command).toHaveLength(7);
  for (const name of ["none", "../hls", "./hls", "hls.yaml", "", "hls\0"])
    expect(readTemplate(name, directory)).toBeUndefined();
});

test.each([
  [{ command: [] }, "command: "],
  [{ command: "ffmpeg -i {input}" }, "command: "],
  [{ command: ["{input}", "{output}"] }, "command[0]: "],
  [{ command: ["-x", "{input}"] }, "is not the name of a program"],
  [{ command: ["/bin/sh", "-c", "ffmpeg {input}"] }, "is a shell"],
  [{ command: ["bash", "{input}"] }, "is a shell"],
  [{ command: ["ffmpeg", "{inputs}"] }, "contains {inputs}, and there is no such parameter"],
  [{ command: ["ffmpeg", "{INPUT}"] }, "cannot be a parameter"],
  [{ command: ["ffmpeg", "{constructor}"] }, "contains {constructor}, and there is no such parameter"],
  [{ command: ["ffmpeg", "{input"] }, "contains a brace"],
  [{ command: ["ffmpeg", "{}"] }, "contains a brace"],
  [{ command: ["ffmpeg", "concat:{input}"] }, '"{input}" as an argument of its own'],
  [{ command: ["ffmpeg", "/srv/{output}"] }, '"{output}" as an argument of its own'],
  [{ command: ["ffmpeg", "-{height}"] }, "is an option with a parameter in it"],
  [{ command: ["ffmpeg", "a\nb"] }, "is not text on one line"],
  [{ command: ["ffmpeg", "a\0b"] }, "is not text on one line"],
  [{ command: ["ffmpeg", 7] }, "command[1]: "],
  [{ params: { ...EXAMPLE.params, unused: { type: "number", min: 0, max: 1 } } }, "params.unused: "],
  [{ params: { job: { type: "number", min: 0, max: 1 } } }, "has a value already"],
  [{ params: { Input: { type: "number", min: 0, max: 1 } } }, "cannot be the name of a parameter"],
  [{ params: { input: { type: "shell" } } }, "a mapping with type: url, path, number, enum or text"],
  [{ params: { input: { type: "url", schemes: ["file"], hosts: ["*"] } } }, "is not the scheme of a URL"],
  [{ params: { input: { type: "url", schemes: ["https"] } } }, "hosts: is missing"],
  [{ params: { input: { type: "url", schemes: ["https"], hosts: ["**.a"] } } }, "is not a host"],
  [{ params: { input: { type: "url", schemes: ["https"], hosts: ["A.example"] } } }, "is not a host"],
  [{ params: { input: { type: "path", under: "srv" } } }, "is not a directory below /"],
  [{ params: { input: { type: "path", under: "/srv/../etc" } } }, "is not a directory below /"],
  [{ params: { input: { type: "path", under: "/" } } }, "is not a directory below /"],
  [{ params: { input: { type: "path", under: "/srv", insert: "/{job}" } } }, "is not a part of a file name"],
  [{ params: { input: { type: "number", min: 3, max: 2 } } }, "is less than min"],
  [{ params: { input: { type: "number", min: 3 } } }, "max: is missing"],
  [{ params: { input: { type: "number", min: 0, max: ".inf" } } }, "max: "],
  [{ params: { input: { type: "enum", values: ["-x"] } } }, "begins with -"],
  [{ params: { input: { type: "text" } } }, "pattern: is missing"],
  [{ params: { input: { type: "text", pattern: "(" } } }, "is not a regular expression"],
  [{ params: { input: { type: "text", pattern: "a)|(?:b" } } }, "is not a regular expression"],
  [{ limits: { cpu_qota: 100 } }, "is not a limit"],
  [{ limits: { cpu_quota: "lots" } }, "limits.cpu_quota: "],
  [{ limits: { cpu_quota: null } }, "limits.cpu_quota: "],
  [{ env: { FFRTMP_JOB: "x" } }, "cannot be set here"],
  [{ env: { "A=B": "x" } }, "cannot be set here"],
  [{ env: { A: "x\0y" } }, "is not text on one line"],
  [{ workdir: "srv" }, "is not an absolute path"],
  [{ tenant: "" }, "tenant: "],
  [{ intent: "a\nb" }, "contains a control character"],
  [{ user: "root" }, "user: "],
])("%j is refused with its place", (change, text) => {
  expect(faultsOf(change).join("\n")).toContain(text);
});

test("braces can be doubled, and mean themselves", () => {
  const parsed = parseTemplate(stringify({ command: ["ffmpeg", "a{{b}}c", "{{{job}}}"] }));
  expect("value" in parsed && parsed.value.command.slice(1)).toEqual([
    [{ literal: "a{b}c" }],
    [{ literal: "{" }, { param: "job" }, { literal: "}" }],
  ]);
});
