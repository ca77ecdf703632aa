import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/**
 * The rooms of src/, from top to bottom. A file imports from its own room and from rooms further down. A file
 * belongs to the longest entry that its path starts with, so `jobs` itself contains only the files directly
 * in that folder.
 */
const ROOMS = [
  "main.ts",
  "dispatch.ts",
  "cli",
  "launch",
  "web",
  "fleet",
  "daemon",
  "diagnostics",
  "json",
  "metrics",
  "jobs/start",
  "jobs/attach",
  "jobs/recovery",
  "jobs/limits",
  "jobs/exit",
  "jobs/placement",
  "jobs",
  "policy/file",
  "policy",
  "ledger",
  "jobs/model",
  "linux/systemd",
  "linux/events",
  "linux/cgroup",
  "linux/proc",
  "linux",
  "linux/dbus",
  "limits",
  "sys",
];

const faults: string[] = [];
for (const file of new Bun.Glob("src/**/*.{ts,tsx}").scanSync()) {
  if (file.endsWith(".test.ts")) continue;
  const source = readFileSync(file, "utf8");
  if (/\bFFI\b/.test(source) && roomOf(file) !== "sys")
    faults.push(`${file} uses Bun.FFI: only src/sys makes system calls`);
  for (const [, specifier = ""] of source.matchAll(/\b(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
    if (specifier === "bun:ffi" && roomOf(file) !== "sys") {
      faults.push(`${file} imports bun:ffi: only src/sys makes system calls`);
    }
    if (!specifier.startsWith(".")) continue;
    const imported = normalize(join(dirname(file), specifier));
    if (!imported.startsWith("src/")) continue;
    const [from, to] = [roomOf(file), roomOf(imported)];
    if (from === undefined || to === undefined)
      faults.push(`${from === undefined ? file : imported} is in no room that scripts/checkImports.ts knows`);
    else if (ROOMS.indexOf(to) < ROOMS.indexOf(from))
      faults.push(`${file} imports ${imported}: ${from} is below ${to}`);
  }
}
for (const fault of faults) console.error(fault);
process.exit(faults.length === 0 ? 0 : 1);

function roomOf(file: string): string | undefined {
  const path = file.slice("src/".length);
  return ROOMS.filter((room) => path === room || path.startsWith(`${room}/`)).sort(
    (a, b) => b.length - a.length,
  )[0];
}
