import { mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { commonFiles, FLEET_UNITS, type Layout, listUnits, readText, writeTree } from "./files.ts";
import type { Platform } from "./platform.ts";
import { run } from "./run.ts";
import type { Release } from "./version.ts";

/** The layout of /usr/local, which shells, man and systemd search too. */
const LAYOUT: Layout = {
  executables: "bin",
  manuals: "share/man",
  bash: "share/bash-completion/completions",
  zsh: "share/zsh/site-functions",
  fish: "share/fish/vendor_completions.d",
  units: "lib/systemd/system",
  documents: "share/doc/ffrtmp",
  shared: "share/ffrtmp",
};

/**
 * Builds ffrtmp-VERSION-linux-ARCHITECTURE.tar.gz and returns its path. The content of its one directory
 * belongs in /usr/local.
 */
export function buildTarball(
  release: Release,
  platform: Platform,
  options: { executable: string; stage: string; directory: string },
): string {
  const { executable, stage, directory } = options;
  const name = `ffrtmp-${release.version}-linux-${platform.debian}`;
  rmSync(stage, { recursive: true, force: true });

  const tree = commonFiles(release, LAYOUT, executable);
  const units = listUnits().map((unit) => [unit, join("packaging/systemd", unit)] as const);
  const ofFleet = FLEET_UNITS.map((unit) => [unit, join("packaging/fleet", unit)] as const);
  for (const [unit, file] of [...units, ...ofFleet]) {
    const text = readText(file).replaceAll("/usr/bin/ffrtmp", "/usr/local/bin/ffrtmp");
    tree.set(join(LAYOUT.units, unit), Buffer.from(text));
  }
  for (const dropIn of ["exec-filter.conf", "metering.conf"]) {
    const ofPackage = readText(join("packaging/systemd-drop-ins", dropIn));
    const text = ofPackage.replaceAll("/usr/share/", "/usr/local/share/");
    tree.set(join(LAYOUT.shared, dropIn), Buffer.from(text));
  }
  for (const document of ["README.md", "CHANGELOG.md", "docs/packages.md", "packaging/policy.yaml"])
    tree.set(join(LAYOUT.documents, document.slice(document.lastIndexOf("/") + 1)), document);
  writeTree(tree, join(stage, name), release);

  const file = join(directory, `${name}.tar.gz`);
  mkdirSync(directory, { recursive: true });
  const owner = ["--owner=0", "--group=0", "--numeric-owner"];
  run([
    "tar",
    "-C",
    stage,
    "--sort=name",
    "--format=gnu",
    ...owner,
    `--mtime=@${release.epochSec}`,
    "--use-compress-program=gzip -n -6",
    "-cf",
    resolve(file),
    name,
  ]);
  rmSync(stage, { recursive: true });
  return file;
}
