import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { lacksCommand } from "./sandbox.ts";

/** scripts/setup.sh takes it out of Debian's package, which would also start a server. */
const CACHED = join(homedir(), ".cache/ffrtmp/promtool");

/** The program that checks metrics, alert rules and their tests. */
export const PROMTOOL = existsSync(CACHED) ? CACHED : "promtool";

export function lacksPromtool(): string | undefined {
  return PROMTOOL === CACHED ? undefined : lacksCommand("promtool");
}
