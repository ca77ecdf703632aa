import { chmodSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { locateState } from "../../src/ledger/location.ts";
import { copyrightText } from "./copyright.ts";
import { commonFiles, compress, type Layout, listUnits, readText, type Tree, writeTree } from "./files.ts";
import type { Platform } from "./platform.ts";
import { run } from "./run.ts";
import type { Release } from "./version.ts";

const LAYOUT: Layout = {
  executables: "usr/bin",
  manuals: "usr/share/man",
  bash: "usr/share/bash-completion/completions",
  zsh: "usr/share/zsh/vendor-completions",
  fish: "usr/share/fish/vendor_completions.d",
  units: "usr/lib/systemd/system",
  documents: "usr/share/doc/ffrtmp",
  shared: "usr/share/ffrtmp",
};
const POLICY = "etc/ffrtmp/policy.yaml";
const FLAGS = "etc/default/ffrtmp";
const CONFFILES = [POLICY, FLAGS];
const SCRIPTS = ["postinst", "prerm", "postrm"];

export interface DebOptions {
  executable: string;
  /** The Debian revision in the version. */
  revision?: string;
  /** The compression: "none" in tests, because compression takes most of the time. */
  compression?: "xz" | "none";
  /** The directory in which the package is assembled. It is removed afterwards. */
  stage: string;
  directory: string;
}

/**
 * Builds ffrtmp_VERSION_ARCHITECTURE.deb with dpkg-deb alone and returns its path. debhelper would strip the
 * executable, which must stay complete, and would not help otherwise, because nothing is compiled here.
 */
export function buildDeb(release: Release, platform: Platform, options: DebOptions): string {
  const { executable, revision = "1", compression = "xz", stage, directory } = options;
  const version = `${release.version}-${revision}`;
  rmSync(stage, { recursive: true, force: true });

  const data = commonFiles(release, LAYOUT, executable);
  data.set(POLICY, "packaging/policy.yaml");
  data.set(FLAGS, "packaging/default");
  data.set("usr/share/lintian/overrides/ffrtmp", "packaging/debian/lintian-overrides");
  data.set(join(LAYOUT.documents, "copyright"), Buffer.from(copyrightText("debian")));
  data.set(join(LAYOUT.documents, "changelog.gz"), compress(readText("CHANGELOG.md")));
  data.set(join(LAYOUT.documents, "changelog.Debian.gz"), compress(changelog(release, version)));

  const values: Record<string, string> = {
    VERSION: version,
    ARCHITECTURE: platform.debian,
    MAINTAINER: release.maintainer,
    INSTALLED_SIZE: String(Math.ceil(sizeOf(data) / 1024)),
    LIBC_VERSION: neededLibc(executable),
    UNITS: listUnits()
      .filter((unit) => unit.endsWith(".service") && !unit.includes("@"))
      .join(" "),
    STATE_TAG: locateState("/var/lib/ffrtmp", {}).tag,
  };
  const control: Tree = new Map([
    ["DEBIAN/md5sums", Buffer.from(checksums(data))],
    ["DEBIAN/conffiles", Buffer.from(CONFFILES.map((path) => `/${path}\n`).join(""))],
  ]);
  for (const name of ["control", ...SCRIPTS])
    control.set(`DEBIAN/${name}`, Buffer.from(fillIn(readText(join("packaging/debian", name)), values)));

  writeTree(new Map([...data, ...control]), stage, release);
  for (const name of SCRIPTS) chmodSync(join(stage, "DEBIAN", name), 0o755);
  const deb = join(directory, `ffrtmp_${version}_${platform.debian}.deb`);
  mkdirSync(directory, { recursive: true });
  // Level 1 takes a tenth of the default level's time, and the package is an eighth larger. The released
  // package is the tested one.
  run(["dpkg-deb", "--root-owner-group", `-Z${compression}`, "-z1", "--build", stage, deb], {
    env: { SOURCE_DATE_EPOCH: String(release.epochSec) },
  });
  rmSync(stage, { recursive: true });
  return deb;
}

/** Replaces each `@NAME@` with its value. Throws for a name without a value. */
function fillIn(text: string, values: Record<string, string>): string {
  return text.replaceAll(/@([A-Z_]+)@/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined)
      throw new Error(`packaging/debian asks for @${name}@, which scripts/release/deb.ts lacks`);
    return value;
  });
}

function changelog({ version, maintainer, epochSec }: Release, debianVersion: string): string {
  // Debian uses the date format of RFC 2822, with the zone in digits.
  const date = new Date(epochSec * 1000).toUTCString().replace("GMT", "+0000");
  return `ffrtmp (${debianVersion}) stable; urgency=medium

  * Package of ffrtmp ${version}; its changes are in changelog.gz.

 -- ${maintainer}  ${date}
`;
}

/** Returns the newest version of glibc whose symbols the executable names: `2.17`. */
function neededLibc(executable: string): string {
  const names = readFileSync(executable)
    .toString("latin1")
    .matchAll(/\0GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)/g);
  const minors = [...names].map(([, minor]) => Number(minor));
  if (minors.length === 0) throw new Error(`${executable} names no version of glibc that it needs`);
  return `2.${Math.max(...minors)}`;
}

function sizeOf(tree: Tree): number {
  return [...tree.values()].reduce(
    (sum, content) => sum + (typeof content === "string" ? statSync(content).size : content.length),
    0,
  );
}

function checksums(tree: Tree): string {
  const lines = [...tree]
    .filter(([path]) => !CONFFILES.includes(path))
    .map(([path, content]) => {
      const bytes = typeof content === "string" ? readFileSync(content) : content;
      return `${new Bun.CryptoHasher("md5").update(bytes).digest("hex")}  ${path}\n`;
    });
  return lines.join("");
}
