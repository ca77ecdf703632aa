import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { description } from "../../package.json";
import { readCommandTree } from "../generate/commandTree.ts";
import { manPages } from "../generate/manPages.ts";
import { copyrightText } from "./copyright.ts";
import { type Tree, writeTree } from "./files.ts";
import { PLATFORMS, type Platform } from "./platform.ts";
import { run } from "./run.ts";
import type { Release } from "./version.ts";

/** Packs the executable of one platform. npm installs this package only on machines of that platform. */
export function packPlatform(
  release: Release,
  platform: Platform,
  options: { executable: string; stage: string; directory: string },
): string {
  const manifest = {
    name: nameFor(platform),
    description: `${description}: the executable for Linux on ${platform.node}`,
    ...shared(release),
    cpu: [platform.node],
    libc: ["glibc"],
    bin: { ffrtmp: "bin/ffrtmp" },
  };
  return pack(release, manifest, new Map([["bin/ffrtmp", options.executable]]), options);
}

/** Packs the package that users install. It has no executable, and depends on the platform packages. */
export function packLauncher(release: Release, options: { stage: string; directory: string }): string {
  const manuals = manPages(readCommandTree(), release);
  const manifest = {
    name: "ffrtmp",
    description,
    ...shared(release),
    cpu: PLATFORMS.map(({ node }) => node),
    bin: { ffrtmp: "bin/ffrtmp" },
    man: manuals.map(({ name }) => `./man/${name}`),
    optionalDependencies: Object.fromEntries(
      PLATFORMS.map((platform) => [nameFor(platform), release.version]),
    ),
  };
  const tree: Tree = new Map<string, Buffer | string>([
    ["bin/ffrtmp", "packaging/npm/ffrtmp.sh"],
    ["README.md", "README.md"],
    ["policy.schema.json", "packaging/policy.schema.json"],
    ...manuals.map(({ name, text }): [string, Buffer] => [`man/${name}`, Buffer.from(text)]),
  ]);
  return pack(release, manifest, tree, options);
}

function nameFor({ node }: Platform): string {
  return `ffrtmp-linux-${node}`;
}

function shared({ version, license }: Release) {
  return { version, license, os: ["linux"] };
}

function pack(
  release: Release,
  manifest: object,
  tree: Tree,
  { stage, directory }: { stage: string; directory: string },
): string {
  rmSync(stage, { recursive: true, force: true });
  tree.set("package.json", Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`));
  tree.set("LICENSE", Buffer.from(copyrightText()));
  writeTree(tree, stage, release);
  mkdirSync(directory, { recursive: true });
  const output = run(["npm", "pack", stage, "--json", "--pack-destination", directory]);
  rmSync(stage, { recursive: true });
  return join(directory, JSON.parse(output)[0].filename);
}
