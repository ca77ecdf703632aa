import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { buildDeb } from "../../../scripts/release/deb.ts";
import { PLATFORMS, type Platform } from "../../../scripts/release/platform.ts";
import { readRelease } from "../../../scripts/release/version.ts";
import { FFRTMP } from "../sandbox.ts";

const ROOT = resolve(import.meta.dir, "../../..");
const DIRECTORY = join(ROOT, "dist/test-release");
const SOURCES = [
  "src",
  "scripts",
  "packaging",
  "docs",
  "package.json",
  "package-lock.json",
  "README.md",
  "CHANGELOG.md",
];

/** Builds the release for this platform when the sources have changed, and returns its directory. */
export function builtRelease(): string {
  const key = keyOfSources();
  const keyFile = join(DIRECTORY, "built-from");
  if (!existsSync(keyFile) || readFileSync(keyFile, "utf8") !== key) {
    const built = Bun.spawnSync([process.execPath, "scripts/release.ts", "--out", DIRECTORY, "amd64"], {
      cwd: ROOT,
    });
    if (!built.success) throw new Error(`scripts/release.ts failed: ${built.stderr}`);
    Bun.spawnSync(["sh", "-c", 'printf %s "$1" >"$2"', "sh", key, keyFile]);
  }
  return DIRECTORY;
}

/** Returns the only file of the release whose name has this ending. */
export function releasedFile(ending: string): string {
  const directory = builtRelease();
  const [name, ...others] = readdirSync(directory).filter((candidate) => candidate.endsWith(ending));
  if (name === undefined || others.length > 0)
    throw new Error(`expected one file *${ending} in ${directory}`);
  return join(directory, name);
}

/** Builds a Debian package of a revision with the tested executable. The caller removes its directory. */
export function uncompressedDeb(revision: string): string {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-deb-"));
  const platform = PLATFORMS.find(({ debian }) => debian === "amd64") as Platform;
  return buildDeb(readRelease(), platform, {
    executable: FFRTMP,
    revision,
    compression: "none",
    stage: join(directory, "stage"),
    directory,
  });
}

/** Returns the reason why no release can be tested here, or `undefined`. */
export function lacksReleaseTools(): string | undefined {
  if (process.arch !== "x64") return "needs x64 to test the packages";
  for (const program of ["dpkg-deb", "npm", "git"])
    if (Bun.which(program) === null) return `needs ${program} to build a release`;
  return undefined;
}

function keyOfSources(): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const source of SOURCES) {
    const files = source.includes(".") ? [source] : [...new Bun.Glob(`${source}/**`).scanSync(ROOT)].sort();
    for (const file of files)
      hash
        .update(file)
        .update("\0")
        .update(readFileSync(join(ROOT, file)));
  }
  return hash.digest("hex");
}
