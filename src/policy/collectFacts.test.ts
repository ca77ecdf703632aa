import { expect, test } from "bun:test";
import { procTree, statLine } from "../../test/support/procTree.ts";
import type { SlowRead } from "../linux/proc/slowFacts/slowFacts.ts";
import { performRead } from "../linux/proc/slowFacts/slowFacts.ts";
import type { SlowReader } from "../linux/proc/slowFacts/slowReader.ts";
import { readStat } from "../linux/proc/stat.ts";
import { askWithFacts } from "./collectFacts.ts";
import type { ProcessFacts } from "./facts.ts";
import { FactReader } from "./procFacts.ts";

const FILES = {
  "10/stat": statLine({ pid: 10, comm: "ffmpeg", ppid: 9 }),
  "10/cmdline": "ffmpeg\0-i\0in\0",
  "10/environ": "TIER=gold\0",
  "9/stat": statLine({ pid: 9, comm: "python3", ppid: 0 }),
  "9/cmdline": "portal\0",
};

/** Asks about PID 10. Returns the result and what was read; reads of these kinds are late. */
async function ask<T>(question: (facts: ProcessFacts) => T, late: SlowRead["kind"][] = []) {
  using proc = procTree(FILES);
  const { host } = proc;
  const reads: string[] = [];
  const slowReader = {
    async read(read: SlowRead) {
      reads.push(read.kind === "path" ? read.path : `${read.kind} of ${read.pid}`);
      return late.includes(read.kind) ? "late" : performRead(host, read);
    },
  } as SlowReader;
  const stat = readStat(host, 10);
  if (stat === "gone") throw new Error("no process");
  const { answer, slow } = await askWithFacts({ reader: new FactReader(host), slowReader }, stat, question);
  return { answer, isLate: slow.isLate, reads };
}

test("only the slow facts that are asked for are read, each once", async () => {
  expect(await ask(({ names }) => names.argv0)).toEqual({
    answer: "ffmpeg",
    isLate: false,
    reads: ["arguments of 10"],
  });
  const all = ({ argv, environment, ancestors }: ProcessFacts) => [
    argv.length,
    environment?.get("TIER"),
    ancestors.map(({ argv0 }) => argv0),
  ];
  expect(await ask(all)).toEqual({
    answer: [3, "gold", ["portal"]],
    isLate: false,
    reads: ["arguments of 10", "environment of 10", "arguments of 9"],
  });
});

test("a path of the policy is followed in a thread too", async () => {
  const { answer, reads } = await ask((facts) => facts.resolve("/proc/self/root"));
  expect(answer).toBe("/");
  expect(reads).toEqual(["arguments of 10", "/proc/self/root"]);
});

test("a fact that is late counts as one that cannot be read", async () => {
  const question = ({ names, environment }: ProcessFacts) => [names.comm, names.argv0, environment];
  expect(await ask(question, ["arguments", "environment"])).toMatchObject({
    answer: ["ffmpeg", "", undefined],
    isLate: true,
  });
});
