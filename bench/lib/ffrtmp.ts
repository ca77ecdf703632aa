import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { locateState } from "../../src/ledger/location.ts";

/** A copy of the executable and a state directory of its own, for one benchmark. */
export class FfrtmpUnderTest implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "ffrtmp-bench-"));
  readonly executable = join(this.directory, "ffrtmp");
  readonly state = join(this.directory, "state");

  /** `FFRTMP_BENCH_EXECUTABLE` selects another executable than dist/ffrtmp. */
  constructor(path = process.env["FFRTMP_BENCH_EXECUTABLE"] ?? "dist/ffrtmp") {
    const built = resolve(import.meta.dir, "../..", path);
    // Copied in one go, so that it is in the page cache like an installed one: the way it got there makes a difference of
    // up to 1 ms of a start. Written back, because pages that wait to be written count as dirty.
    cpSync(built, this.executable);
    Bun.spawnSync(["sync", this.executable]);
  }

  /** Returns the executable that `FFRTMP_BENCH_BASELINE` names, to be measured in turns with the other one. */
  static baseline(): FfrtmpUnderTest | undefined {
    const path = process.env["FFRTMP_BENCH_BASELINE"];
    return path === undefined ? undefined : new FfrtmpUnderTest(path);
  }

  get environment(): Record<string, string> {
    return { FFRTMP_STATE: this.state };
  }

  /** The prefix of the names of its jobs' cgroups. */
  get cgroupPrefix(): string {
    return `ffrtmp-${locateState(this.state, {}).tag}-`;
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
