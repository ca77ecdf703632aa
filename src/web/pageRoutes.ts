import { pageAssets } from "./pageAssets.ts";
import type { PageAsset } from "./pageBundle.ts";
import { respond } from "./response.ts";
import type { Handler, Routes } from "./routes.ts";

/** Answers the requests for the files of the page. They have no data of jobs: the page asks the API for those. */
export const pageRoutes: Routes = Object.fromEntries(
  Object.entries(pageAssets).map(([path, asset]) => [path, handlerOf(asset)]),
);

const VARY = { Vary: "Accept-Encoding" };

function handlerOf({ contentType, text }: PageAsset): Handler {
  let compressed: Uint8Array<ArrayBuffer> | undefined;
  return (request) => {
    if (!/\bgzip\b/.test(request.headers.get("accept-encoding") ?? ""))
      return respond(text, contentType, { headers: VARY });
    compressed ??= compressPage(text);
    return respond(compressed, contentType, { headers: { ...VARY, "Content-Encoding": "gzip" } });
  };
}

/** Compresses a file as far as gzip goes: once in the life of a server. */
export function compressPage(text: string): Uint8Array<ArrayBuffer> {
  return Bun.gzipSync(text, { library: "libdeflate", level: 12 });
}
