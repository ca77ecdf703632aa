import { join } from "node:path";
import type { BunPlugin } from "bun";

/** A file that the browser loads. It is the same on every machine and has no data of jobs. */
export interface PageAsset {
  readonly contentType: string;
  readonly text: string;
}

/** The files of the page by their path on the server. */
export type PageAssets = Readonly<Record<"/" | "/page.js" | "/page.css", PageAsset>>;

const SOURCES = join(import.meta.dir, "page");

/** Bundles the page for browsers. Throws where its source has an error. */
export async function bundlePage(): Promise<PageAssets> {
  const [script, style] = await Promise.all([bundle("main.tsx"), bundle("page.css")]);
  return {
    "/": {
      contentType: "text/html; charset=utf-8",
      text: await Bun.file(join(SOURCES, "page.html")).text(),
    },
    "/page.js": { contentType: "text/javascript; charset=utf-8", text: script },
    "/page.css": { contentType: "text/css; charset=utf-8", text: style },
  };
}

/** The properties of uPlot for its users: from the first one to the export. */
const PUBLIC_PROPERTIES = /^uPlot\.assign = [\s\S]*(?=^export \{)/m;
/** uPlot reads and writes this one itself. */
const OWN_PROPERTY = "uPlot.pxRatio = pxRatio;\n";

/**
 * Leaves out what of uPlot only its users could call: the page draws lines, and has no bars, steps, splines or dates of uPlot.
 * A bundler cannot tell that properties of a function are not used. Saves 2.8 kB with gzip.
 */
const smallCharts: BunPlugin = {
  name: "small charts",
  setup(build) {
    build.onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path }) => {
      const text = await Bun.file(path).text();
      if (!PUBLIC_PROPERTIES.test(text) || !text.includes(OWN_PROPERTY))
        throw new Error(
          `${path} is another uPlot than src/web/pageBundle.ts knows: compare their properties`,
        );
      return { contents: text.replace(PUBLIC_PROPERTIES, OWN_PROPERTY), loader: "js" };
    });
  },
};

async function bundle(entry: string): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [join(SOURCES, entry)],
    target: "browser",
    format: "esm",
    minify: true,
    define: { "process.env.NODE_ENV": '"production"' },
    plugins: [smallCharts],
  });
  const [output] = outputs;
  if (output === undefined || outputs.length > 1)
    throw new Error(`the bundler made ${outputs.length} files of ${entry}, and the server has one`);
  return output.text();
}
