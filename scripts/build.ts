import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { BunPlugin, ImportKind } from "bun";
import { bundlePage } from "../src/web/pageBundle.ts";

/**
 * Builds dist/ffrtmp, one executable file:
 * `node_modules/.bin/bun scripts/build.ts [outfile [target runtime]]`. For another platform, pass the
 * bundler's name for it (bun-linux-arm64) and the executable of its runtime. Needs only the packages that
 * `npm install` installs.
 */
const [outfile = "dist/ffrtmp", target, runtime] = process.argv.slice(2);

/**
 * Imports that the CLI parser needs only for features that ffrtmp does not use (subcommands as separate
 * programs), or for which the runtime has a global. Loading them takes 4 ms of each start, most of the time
 * that `run` adds to a launch. They are replaced in the parser's source, because the bundler asks no resolver
 * about modules of the runtime.
 */
const PARSER_IMPORTS: Record<string, string> = {
  "import childProcess from 'node:child_process';": "const childProcess = {};",
  "import fs from 'node:fs';": "const fs = {};",
  "import process from 'node:process';": "const process = globalThis.process;",
  "import { stripVTControlCharacters } from 'node:util';": "const stripVTControlCharacters = Bun.stripANSI;",
};

const smallerParser: BunPlugin = {
  name: "smaller CLI parser",
  setup(build) {
    const unused = new Set(Object.keys(PARSER_IMPORTS));
    build.onLoad({ filter: /\/node_modules\/commander\/lib\/\w+\.js$/ }, async ({ path }) => {
      let contents = await Bun.file(path).text();
      for (const [line, replacement] of Object.entries(PARSER_IMPORTS)) {
        if (contents.includes(line)) unused.delete(line);
        contents = contents.replace(line, replacement);
      }
      return { contents, loader: "js" };
    });
    build.onEnd(({ success }) => {
      if (success && unused.size > 0)
        throw new Error(`the CLI parser has changed, it lacks: ${[...unused].join(" ")}`);
    });
  },
};

const MAIN = "src/main.ts";
const WORKERS = [
  "src/linux/events/epollWorker.ts",
  "src/linux/cgroup/moveLock/worker.ts",
  "src/linux/proc/slowFacts/worker.ts",
  "src/metrics/gpu/worker.ts",
  "src/metrics/network/namespaceWorker.ts",
];

/** Returns the absolute paths of the modules of ours that a module loads in one of these ways. */
function modulesLoadedBy(path: string, kinds: readonly ImportKind[]): string[] {
  const imports = new Bun.Transpiler({ loader: "ts" }).scanImports(readFileSync(path, "utf8"));
  const own = imports.filter((each) => kinds.includes(each.kind) && each.path.startsWith("."));
  return own.map((each) => resolve(dirname(path), each.path));
}

/**
 * Makes one chunk of the modules that every start loads. The bundler makes a chunk of the modules that are needed by the
 * same entries, those of dynamic imports included: for a start that would be 32, which take 0.3 ms and, with their tables of
 * exports, 9 blocks of the runtime's heap. So each other entry imports all that src/main.ts does, which is loaded then anyway.
 */
const oneChunkForStart: BunPlugin = {
  name: "one chunk for a start",
  setup(build) {
    const first = modulesLoadedBy(MAIN, ["import-statement"]);
    const sources = [...new Bun.Glob("src/**/*.ts").scanSync()].filter((path) => !path.endsWith(".test.ts"));
    const loadedLater = sources.flatMap((path) => modulesLoadedBy(path, ["dynamic-import", "require-call"]));
    const entries = new Set([...loadedLater, ...WORKERS.map((path) => resolve(path))]);
    const imports = first.map((path) => `import ${JSON.stringify(path)};`).join("");
    build.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) =>
      entries.has(path) ? { contents: imports + (await Bun.file(path).text()), loader: "ts" } : undefined,
    );
  },
};

// Before the build that embeds it, because a plugin of one build cannot wait for another.
const page = await bundlePage();
const embeddedPage: BunPlugin = {
  name: "embedded page",
  setup(build) {
    let isEmbedded = false;
    build.onLoad({ filter: /\/src\/web\/pageAssets\.ts$/ }, () => {
      isEmbedded = true;
      return { contents: `export const pageAssets = ${JSON.stringify(page)};`, loader: "js" };
    });
    build.onEnd(({ success }) => {
      if (success && !isEmbedded) throw new Error("the executable has no page: see src/web/pageAssets.ts");
    });
  },
};

await Bun.build({
  entrypoints: [MAIN, ...WORKERS],
  plugins: [smallerParser, embeddedPage, oneChunkForStart],
  format: "esm",
  minify: true,
  bytecode: true,
  splitting: true,
  // A root daemon must not read settings from the directory in which it is started.
  compile: {
    outfile,
    autoloadDotenv: false,
    autoloadBunfig: false,
    // `run` compiles nothing: what it does once is not worth it, and the runtime would start a thread for that. During the
    // spawn, the thread would be in the workload's cgroup, like the one that starts it. Other commands reset this.
    jitPolicy: 100_000,
    ...(target === undefined ? {} : { target: target as Bun.Build.CompileTarget }),
    ...(runtime === undefined ? {} : { executablePath: runtime }),
  },
});
