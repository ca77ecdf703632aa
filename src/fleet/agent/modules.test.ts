import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Returns the packages that a module loads when it starts, each with one importer. Imports at run time come later. */
function packagesOf(entry: string): Map<string, string> {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const modules = new Set([entry]);
  const packages = new Map<string, string>();
  for (const path of modules) {
    for (const { kind, path: name } of transpiler.scanImports(readFileSync(path, "utf8"))) {
      if (kind !== "import-statement") continue;
      if (name.endsWith(".ts")) modules.add(join(dirname(path), name));
      else if (!name.endsWith(".json")) packages.set(name, path);
    }
  }
  return packages;
}

test("one that takes jobs has loaded none of them either", () => {
  expect([...packagesOf("src/fleet/agent/createDispatcher.ts").keys()].sort()).toEqual([
    "@nats-io/nats-core",
    "@nats-io/nats-core/internal",
    "bun:sqlite",
    "node:fs",
    "node:path",
    "zod/mini",
  ]);
});

test("a waiting agent has loaded none of the packages that take MBs of its memory", () => {
  const packages = packagesOf("src/cli/commands/fleetAgentStart.ts");
  expect([...packages.keys()].sort()).toEqual([
    "@nats-io/nats-core",
    "@nats-io/nats-core/internal",
    "bun:sqlite",
    "node:fs",
    "node:os",
    "node:path",
    "zod/mini",
  ]);
});
