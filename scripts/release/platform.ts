import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import lock from "../../package-lock.json";
import { run } from "./run.ts";

/** One kind of machine that there is an executable for, by the names that each world gives it. */
export interface Platform {
  /** Debian's name, which the files of a release carry. */
  debian: "amd64" | "arm64";
  /** Node's name. */
  node: "x64" | "arm64";
  /** What `Bun.build` calls it. */
  target: Bun.Build.CompileTarget;
  /** The npm package with the runtime for it. */
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
  // Of this name in each directory: the name is part of what is built.
  const path = join(directory, platform.debian, "ffrtmp");
  mkdirSync(join(directory, platform.debian), { recursive: true });
  run([process.execPath, "scripts/build.ts", path, platform.target, locateRuntime(platform)]);
  return path;
}

/**
 * The runtime's executable for a platform: npm installs the one for this machine only. Another one is fetched once, in
 * the version and with the checksum of package-lock.json.
 */
function locateRuntime(platform: Platform): string {
  const installed = join(platform.runtime, "bin/bun");
  if (existsSync(installed)) return installed;
  const { version } = lock.packages[platform.runtime] as { version: string };
  const kept = join("node_modules/.cache/ffrtmp", `${basename(platform.runtime)}-${version}`);
  const executable = join(kept, "package/bin/bun");
  if (!existsSync(executable)) fetchRuntime(platform, version, kept);
  return executable;
}

function fetchRuntime(platform: Platform, version: string, kept: string): void {
  const name = platform.runtime.replace("node_modules/", "");
  const { integrity } = lock.packages[platform.runtime] as { integrity: string };
  const partial = `${kept}.${process.pid}`;
  mkdirSync(partial, { recursive: true });
  try {
    const told = run(["npm", "pack", `${name}@${version}`, "--json", "--pack-destination", partial]);
    const file = join(partial, JSON.parse(told)[0].filename);
    const digest = new Bun.CryptoHasher("sha512").update(readFileSync(file)).digest("base64");
    if (`sha512-${digest}` !== integrity)
      throw new Error(`${name}@${version} is not what package-lock.json names: sha512-${digest}`);
    run(["tar", "-C", partial, "-xzf", file]);
    rmSync(file);
    rmSync(kept, { recursive: true, force: true });
    renameSync(partial, kept);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
