import type { BunPlugin } from "bun";
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
  entrypoints: [
    "src/main.ts",
    "src/linux/events/epollWorker.ts",
    "src/linux/cgroup/moveLock/worker.ts",
    "src/linux/proc/slowFacts/worker.ts",
    "src/metrics/gpu/worker.ts",
    "src/metrics/network/namespaceWorker.ts",
  ],
  plugins: [smallerParser, embeddedPage],
  format: "esm",
  minify: true,
  bytecode: true,
  splitting: true,
  // A root daemon must not read settings from the directory in which it is started.
  compile: {
    outfile,
    autoloadDotenv: false,
    autoloadBunfig: false,
    // Most code of a start runs once, and compiling it costs more than it saves. `watch` resets this to 1.
    jitPolicy: 20,
    ...(target === undefined ? {} : { target: target as Bun.Build.CompileTarget }),
    ...(runtime === undefined ? {} : { executablePath: runtime }),
  },
});
