import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import lock from "../../package-lock.json";
import { run } from "./run.ts";

/** A platform that has an executable, with the name that each tool uses for it. */
export interface Platform {
  /** Debian's name, which is part of the file names of a release. */
  debian: "amd64" | "arm64";
  /** Node's name. */
  node: "x64" | "arm64";
  /** The name for `Bun.build`. */
  target: Bun.Build.CompileTarget;
  /** The path of the npm package with the platform's runtime. */
  runtime: keyof typeof lock.packages;
}

export const PLATFORMS: Platform[] = [
  { debian: "amd64", node: "x64", target: "bun-linux-x64", runtime: "node_modules/@oven/bun-linux-x64" },
  {
    debian: "arm64",
    node: "arm64",
    target: "bun-linux-arm64",
    runtime: "node_modules/@oven/bun-linux-aarch64",
  },
];

/** Builds the executable for a platform in `directory` and returns its path. */
export function buildExecutable(platform: Platform, directory: string): string {
  // The same file name for each platform, because the executable contains it.
  const path = join(directory, platform.debian, "ffrtmp");
  mkdirSync(join(directory, platform.debian), { recursive: true });
  run([process.execPath, "scripts/build.ts", path, platform.target, locateRuntime(platform)]);
  return path;
}

/**
 * Returns the path of a platform's runtime. npm installs only the runtime for this machine. Any other is
 * fetched once, with the version and the checksum of package-lock.json.
 */
function locateRuntime(platform: Platform): string {
  const installed = join(platform.runtime, "bin/bun");
  if (existsSync(installed)) return installed;
  const { version } = lock.packages[platform.runtime] as { version: string };
  const cached = join("node_modules/.cache/ffrtmp", `${basename(platform.runtime)}-${version}`);
  const executable = join(cached, "package/bin/bun");
  if (!existsSync(executable)) fetchRuntime(platform, version, cached);
  return executable;
}

function fetchRuntime(platform: Platform, version: string, cached: string): void {
  const name = platform.runtime.replace("node_modules/", "");
  const { integrity } = lock.packages[platform.runtime] as { integrity: string };
  const partial = `${cached}.${process.pid}`;
  mkdirSync(partial, { recursive: true });
  try {
    const output = run(["npm", "pack", `${name}@${version}`, "--json", "--pack-destination", partial]);
    const file = join(partial, JSON.parse(output)[0].filename);
    const digest = new Bun.CryptoHasher("sha512").update(readFileSync(file)).digest("base64");
    if (`sha512-${digest}` !== integrity)
      throw new Error(`${name}@${version} is not what package-lock.json names: sha512-${digest}`);
    run(["tar", "-C", partial, "-xzf", file]);
    rmSync(file);
    rmSync(cached, { recursive: true, force: true });
    renameSync(partial, cached);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
