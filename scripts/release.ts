import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { buildDeb } from "./release/deb.ts";
import { packLauncher, packPlatform } from "./release/npmPackages.ts";
import { buildExecutable, PLATFORMS, type Platform } from "./release/platform.ts";
import { writeSbom } from "./release/sbom.ts";
import { buildTarball } from "./release/tarball.ts";
import { readRelease } from "./release/version.ts";

/**
 * Builds a release: `node_modules/.bin/bun scripts/release.ts [--out DIR] [amd64|arm64...]`. The default is
 * all platforms, in dist/release. scripts/release.sh installs the programs that this needs, and then runs it.
 */
const { directory, platforms } = readArguments(process.argv.slice(2));
const release = readRelease();
const stage = join(directory, "stage");
rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });

const files: string[] = [];
for (const platform of platforms) {
  const executable = buildExecutable(platform, join(directory, "executables"));
  const options = { executable, stage: `${stage}-${platform.debian}`, directory };
  files.push(buildDeb(release, platform, options));
  files.push(buildTarball(release, platform, options));
  files.push(packPlatform(release, platform, options));
}
files.push(packLauncher(release, { stage, directory }));
files.push(await writeSbom(release, platforms, directory));
files.push(writeChecksums(files));
rmSync(join(directory, "executables"), { recursive: true });

for (const file of files) console.log(`${(statSync(file).size / 1e6).toFixed(1).padStart(6)} MB  ${file}`);

/** Writes SHA256SUMS, for `sha256sum --check`. */
function writeChecksums(files: string[]): string {
  const path = join(directory, "SHA256SUMS");
  const lines = files.map((file) => {
    const digest = new Bun.CryptoHasher("sha256").update(readFileSync(file)).digest("hex");
    return `${digest}  ${basename(file)}\n`;
  });
  writeFileSync(path, lines.join(""));
  return path;
}

function readArguments(words: string[]): { directory: string; platforms: Platform[] } {
  let directory = "dist/release";
  const named: string[] = [];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === "--out") directory = words.shift() ?? "";
    else named.push(word);
  }
  const unknown = named.filter((name) => !PLATFORMS.some(({ debian }) => debian === name));
  if (unknown.length > 0 || directory === "") {
    console.error("usage: scripts/release.ts [--out DIR] [amd64|arm64...]");
    process.exit(2);
  }
  return {
    directory,
    platforms: PLATFORMS.filter(({ debian }) => named.length === 0 || named.includes(debian)),
  };
}
