import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Host, realHost } from "../../src/linux/host.ts";

/**
 * Makes a host whose /proc is a directory with these files by path. A content that begins with `→ ` makes a
 * link. Disposable: `using proc = procTree({ "1/stat": … })`.
 */
export function procTree(files: Record<string, string>): { host: Host; [Symbol.dispose](): void } {
  const procRoot = mkdtempSync(join(tmpdir(), "ffrtmp-proc-"));
  for (const [name, text] of Object.entries(files)) {
    const path = join(procRoot, name);
    mkdirSync(dirname(path), { recursive: true });
    if (text.startsWith("→ ")) symlinkSync(text.slice(2), path);
    else writeFileSync(path, text);
  }
  return {
    host: { ...realHost(), procRoot },
    [Symbol.dispose]: () => rmSync(procRoot, { recursive: true, force: true }),
  };
}

/** Returns a line of /proc/PID/stat. */
export function statLine(
  fields: Partial<{
    pid: number;
    comm: string;
    state: string;
    ppid: number;
    flags: number;
    threads: number;
    startTicks: number;
  }> = {},
): string {
  const {
    pid = 4026,
    comm = "ffmpeg",
    state = "S",
    ppid = 1,
    flags = 0x400000,
    threads = 1,
    startTicks = 123456,
  } = fields;
  const from10To21 = `17 0 0 0 250 31 0 0 20 0 ${threads} 0`;
  const from23 =
    "1234567168 20480 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0";
  return `${pid} (${comm}) ${state} ${ppid} ${pid} ${pid} 0 -1 ${flags} ${from10To21} ${startTicks} ${from23}\n`;
}
