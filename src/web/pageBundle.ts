import { join } from "node:path";

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

async function bundle(entry: string): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [join(SOURCES, entry)],
    target: "browser",
    format: "esm",
    minify: true,
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const [output] = outputs;
  if (output === undefined || outputs.length > 1)
    throw new Error(`the bundler made ${outputs.length} files of ${entry}, and the server has one`);
  return output.text();
}
