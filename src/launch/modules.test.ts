import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const MAIN = "src/main.ts";

/** Loaded before a workload that is started as an earlier one: each module delays it. */
const EXPECTED = [
  "src/cli/output/messages.ts",
  "src/jobs/errors.ts",
  "src/jobs/exit/sla.ts",
  ...["command", "ending", "job", "jobId", "outcome", "runtime"].map((name) => `src/jobs/model/${name}.ts`),
  ...["findCommand", "inheritedFiles", "rawArguments", "runtimeFlags", "spawn"].map(
    (name) => `src/jobs/start/${name}.ts`,
  ),
  "src/jobs/summary.ts",
  "src/ledger/inbox/inboxFile.ts",
  "src/ledger/location.ts",
  "src/ledger/strangers.ts",
];

/** Returns the modules that a start loads, and what else they import. */
function loadedBy(entry: string): { modules: string[]; others: string[] } {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const modules = new Set([entry]);
  const others: string[] = [];
  for (const path of modules) {
    for (const { kind, path: specifier } of transpiler.scanImports(readFileSync(path, "utf8"))) {
      if (kind !== "import-statement") continue;
      if (specifier.endsWith(".ts")) modules.add(join(dirname(path), specifier));
      else if (!specifier.endsWith(".json")) others.push(`${path} imports ${specifier}`);
    }
  }
  return { modules: [...modules].sort(), others };
}

test("a launch that is repeated loads no module of the runtime and no package before its workload runs", () => {
  expect(loadedBy(MAIN).others).toEqual([]);
});

test("a launch that is repeated loads few modules of the rest of the program", () => {
  const { modules } = loadedBy(MAIN);
  const beyond = modules.filter((path) => !/^src\/(main\.ts|launch\/|sys\/|linux\/|limits\/)/.test(path));
  expect(beyond).toEqual(EXPECTED.sort());
  // What plans and applies limits is not needed: a record has the calls.
  expect(modules.filter((path) => /table\.ts$|backend|planJobCgroup|jobLimits|systemd/.test(path))).toEqual([
    "src/linux/proc/table.ts",
  ]);
  expect(modules.filter((path) => path.startsWith("src/launch/"))).not.toContain("src/launch/recorder.ts");
});

test("the rest of the program imports what a start does not", () => {
  const { others } = loadedBy("src/dispatch.ts");
  expect(others.some((each) => each.endsWith(" imports commander"))).toBe(true);
});
