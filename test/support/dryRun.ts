import { expect } from "bun:test";

const CHANGE =
  /^ {2}(create cgroup \/|enable controller |write "[^"]*" to \/|move its processes from \/|set \w+ of PID \d|start \S+\.scope )/;

/**
 * Splits the output of `watch --dry-run` about one process: the decision, and below it the changes, one in each line. Fails
 * if a line names no change.
 */
export function parseDryRun(text: string): { decision: string | undefined; changes: string[] } {
  const [decision, ...changes] = text.replace(/\n$/, "").split("\n");
  expect(changes.filter((line) => !CHANGE.test(line))).toEqual([]);
  return { decision, changes };
}
