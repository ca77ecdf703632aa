import type { BunPlugin } from "bun";

/**
 * Builds dist/ffrtmp, one executable file: `node_modules/.bin/bun scripts/build.ts [outfile [target runtime]]`.
 * For another platform: what the bundler calls it (bun-linux-arm64), and the executable of the runtime for it.
 * Needs what `npm install` installs, and nothing else.
 */
const [outfile = "dist/ffrtmp", target, runtime] = process.argv.slice(2);

/**
 * The CLI parser imports these for things that we never ask of it (starting subcommands as programs of their own) or
 * that the runtime has at hand anyway. Loading them takes 4 ms of each start, most of what `run` adds to a launch.
 * Replaced in the parser's text: the bundler asks no resolver about modules of the runtime.
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

await Bun.build({
  entrypoints: ["src/main.ts", "src/linux/events/epollWorker.ts", "src/linux/cgroup/moveLock/worker.ts"],
  plugins: [smallerParser],
  format: "esm",
  minify: true,
  bytecode: true,
  splitting: true,
  // A root daemon must not read settings from the directory that it happens to be started in.
  compile: {
    outfile,
    autoloadDotenv: false,
    autoloadBunfig: false,
    // Most of a start is code that runs once: compiling it costs more than it saves. `watch` goes back to 1.
    jitPolicy: 20,
    ...(target === undefined ? {} : { target: target as Bun.Build.CompileTarget }),
    ...(runtime === undefined ? {} : { executablePath: runtime }),
  },
});
