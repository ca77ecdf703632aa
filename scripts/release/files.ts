import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { bashCompletion } from "../generate/bashCompletion.ts";
import { readCommandTree } from "../generate/commandTree.ts";
import { fishCompletion } from "../generate/fishCompletion.ts";
import { manPages } from "../generate/manPages.ts";
import { zshCompletion } from "../generate/zshCompletion.ts";
import { copyrightText } from "./copyright.ts";
import type { Release } from "./version.ts";

/** The directory of each kind of file, relative to the root of the package. */
export interface Layout {
  executables: string;
  /** The parent of one directory for each manual section. */
  manuals: string;
  bash: string;
  zsh: string;
  fish: string;
  units: string;
  documents: string;
  /** The directory of files that other programs read. */
  shared: string;
}

/** Content by path: a Buffer is the content itself, a string names a file to copy. */
export type Tree = Map<string, Buffer | string>;

/** The services that an operator enables on the nodes of a fleet, by hand: the agent, and what starts jobs. */
export const FLEET_UNITS = ["ffrtmp-fleet-agent.service", "ffrtmp-fleet-runner.service"];

/** Returns the units that the package enables. */
export function listUnits(): string[] {
  return [...new Bun.Glob("*").scanSync("packaging/systemd")].sort();
}

/** Returns the files that the .deb and the tarball have in common, at the paths of the layout. */
export function commonFiles(release: Release, layout: Layout, executable: string): Tree {
  const program = readCommandTree();
  const tree: Tree = new Map<string, Buffer | string>([
    [join(layout.executables, "ffrtmp"), executable],
    // Editors complete policy files with it: see docs/policy.md.
    [join(layout.shared, "policy.schema.json"), "packaging/policy.schema.json"],
    [join(layout.shared, "ffrtmp.rules.yml"), "packaging/prometheus/ffrtmp.rules.yml"],
    [join(layout.shared, "dashboard.json"), "packaging/prometheus/dashboard.json"],
    // Of no effect until the operator copies it: see docs/operating.md.
    [join(layout.shared, "exec-filter.conf"), "packaging/systemd-drop-ins/exec-filter.conf"],
    [join(layout.shared, "metering.conf"), "packaging/systemd-drop-ins/metering.conf"],
    // Not among the units that the package enables: see docs/fleet-results.md.
    ...FLEET_UNITS.map((unit) => [join(layout.units, unit), join("packaging/fleet", unit)] as const),
    [join(layout.documents, "policy.md"), "docs/policy.md"],
    [join(layout.documents, "operating.md"), "docs/operating.md"],
    [join(layout.bash, "ffrtmp"), Buffer.from(bashCompletion(program))],
    [join(layout.zsh, "_ffrtmp"), Buffer.from(zshCompletion(program))],
    [join(layout.fish, "ffrtmp.fish"), Buffer.from(fishCompletion(program))],
    [join(layout.documents, "copyright"), Buffer.from(copyrightText())],
  ]);
  for (const { name, section, text } of manPages(program, release))
    tree.set(join(layout.manuals, `man${section}`, `${name}.gz`), compress(text));
  for (const unit of listUnits()) tree.set(join(layout.units, unit), join("packaging/systemd", unit));
  return tree;
}

/** Compresses without a file name and a time, so that the same text gives the same bytes. */
export function compress(text: string | Buffer): Buffer {
  return gzipSync(text, { level: 9 });
}

/**
 * Writes the tree below a directory. All files and directories get the release's time, and files in a
 * directory named bin become executable.
 */
export function writeTree(tree: Tree, directory: string, { epochSec }: Release): void {
  for (const [path, content] of tree) {
    const file = join(directory, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    const mode = basename(dirname(file)) === "bin" ? 0o755 : 0o644;
    if (typeof content === "string") copyFileSync(content, file);
    else writeFileSync(file, content);
    chmodSync(file, mode);
  }
  setTimes(directory, epochSec);
}

function setTimes(path: string, epochSec: number): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) setTimes(join(path, entry.name), epochSec);
    else utimesSync(join(path, entry.name), epochSec, epochSec);
  }
  utimesSync(path, epochSec, epochSec);
}

export function readText(path: string): string {
  return readFileSync(path, "utf8");
}
