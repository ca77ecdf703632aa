import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { buildDeb } from "../release/deb.ts";
import { PLATFORMS, type Platform } from "../release/platform.ts";
import { readRelease } from "../release/version.ts";

/**
 * Packs dist/ffrtmp twice, as the revisions 1.deb and 2.deb of one package:
 * `bun scripts/vm/debs.ts DIRECTORY`.
 */
const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error("usage: bun scripts/vm/debs.ts DIRECTORY");
mkdirSync(directory, { recursive: true });
for (const revision of ["1", "2"]) {
  const platform = PLATFORMS.find(({ debian }) => debian === "amd64") as Platform;
  const deb = buildDeb(readRelease(), platform, {
    executable: "dist/ffrtmp",
    revision,
    compression: "none",
    stage: join(directory, "stage"),
    directory,
  });
  renameSync(deb, join(directory, `${revision}.deb`));
}
