import { author, license, version } from "../../package.json";

export interface Release {
  /** `0.1.0` */
  version: string;
  license: string;
  /** The maintainer of the build: `Name <address>`. */
  maintainer: string;
  /** The time of every file in the release, in s since 1970: the same sources give the same bytes. */
  epochSec: number;
  /** `2026-11-24` */
  date: string;
}

/** Returns the release. Its date is the given one, else SOURCE_DATE_EPOCH, else that of the last commit. */
export function readRelease(epochSec = Number(process.env["SOURCE_DATE_EPOCH"] ?? dateOfCommit())): Release {
  if (!Number.isSafeInteger(epochSec) || epochSec <= 0)
    throw new Error(
      "the release has no date: build from a git checkout, or set SOURCE_DATE_EPOCH to seconds",
    );
  const { DEBFULLNAME: name, DEBEMAIL: address } = process.env;
  return {
    version,
    license,
    maintainer: name && address ? `${name} <${address}>` : author,
    epochSec,
    date: new Date(epochSec * 1000).toISOString().slice(0, 10),
  };
}

function dateOfCommit(): string | undefined {
  const git = Bun.spawnSync(["git", "log", "-1", "--format=%ct"], { stderr: "ignore" });
  return git.success ? git.stdout.toString().trim() : undefined;
}
