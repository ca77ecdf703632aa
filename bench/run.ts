import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { discovery } from "./discovery.ts";
import { endurance } from "./endurance.ts";
import { fleet } from "./fleet.ts";
import { footprint } from "./footprint.ts";
import { idle } from "./idle.ts";
import { intent } from "./intent.ts";
import { launch } from "./launch.ts";
import type { Benchmark } from "./lib/benchmark.ts";
import { describeMachine } from "./lib/machine.ts";
import { Processes } from "./lib/processes.ts";
import { observe } from "./observe.ts";
import { page } from "./page.ts";
import { placement } from "./placement.ts";
import { policy } from "./policy.ts";
import { reload } from "./reload.ts";
import { scan } from "./scan.ts";
import { shares } from "./shares.ts";
import { show } from "./show.ts";
import { soak } from "./soak.ts";
import { storm } from "./storm.ts";

/** `node_modules/.bin/bun bench/run.ts NAME… [--quick] [--write]`; --write puts the tables into docs/benchmarks.md. */
const BENCHMARKS: Record<string, Benchmark> = {
  launch,
  footprint,
  discovery,
  idle,
  observe,
  page,
  show,
  storm,
  scan,
  policy,
  intent,
  reload,
  placement,
  shares,
  fleet,
  endurance,
  soak,
};
const DOCUMENT = resolve(import.meta.dir, "../docs/benchmarks.md");

const args = process.argv.slice(2);
const quick = args.includes("--quick");
const names = args.filter((argument) => !argument.startsWith("--"));
const unknown = names.filter((name) => !(name in BENCHMARKS));
if (names.length === 0 || unknown.length > 0) {
  if (unknown.length > 0) console.error(`no such benchmark: ${unknown.join(", ")}`);
  console.error(
    `usage: bench/run.ts NAME… [--quick] [--write], NAME being ${Object.keys(BENCHMARKS).join(", ")}`,
  );
  process.exit(2);
}

const missing = Object.assign({}, ...names.map((name) => BENCHMARKS[name]?.needs)) as Record<string, string>;
const packages = new Set(
  Object.entries(missing).flatMap(([program, name]) => (findProgram(program) ? [] : [name])),
);
if (packages.size > 0) {
  console.error(`missing: ${[...packages].join(" ")}\n  try: apt-get install ${[...packages].join(" ")}`);
  process.exit(2);
}

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, async () => {
    await Processes.stopAll();
    console.error(`${signal}: stopped. Cgroups and directories in /tmp named ffrtmp-bench-… may be left.`);
    process.exit(1);
  });

for (const name of names) {
  const benchmark = BENCHMARKS[name] as Benchmark;
  console.error(`${name}: ${benchmark.title}`);
  const table = await benchmark.run({ quick });
  const command = `node_modules/.bin/bun bench/run.ts ${name}${quick ? " --quick" : ""}`;
  const text = `\`${command}\` on ${describeMachine()}\n\n${table}`;
  console.log(`\n### ${benchmark.title}\n\n${text}\n`);
  if (args.includes("--write")) write(name, text);
}
process.exit(0);

/** Looks up a program, also in the directories of daemons that an ordinary user's PATH does not contain. */
function findProgram(program: string): string | null {
  return Bun.which(program, { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` });
}

function write(name: string, text: string): void {
  const document = readFileSync(DOCUMENT, "utf8");
  const begin = `<!-- ${name}: written by bench/run.ts -->`;
  const end = `<!-- end of ${name} -->`;
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from) throw new Error(`docs/benchmarks.md lacks the lines "${begin}" and "${end}"`);
  writeFileSync(DOCUMENT, `${document.slice(0, from)}${begin}\n${text}\n${document.slice(to)}`);
}
