import { fstatSync } from "node:fs";
import type { DaemonEvents } from "../../daemon/events.ts";
import { jsonLine, logJsonEvents } from "../../daemon/jsonLog.ts";
import { logEvents } from "../../daemon/log.ts";
import { isLogged, JOURNAL_PREFIXES, type LogLevel } from "../../daemon/logLevel.ts";
import { oneLine } from "../../sys/visibleText.ts";
import { MessageStream, printErr, writeWarningsTo } from "./messages.ts";

interface LogOptions {
  level: LogLevel;
  /** JSON lines on stdout, in place of text on stderr. */
  json: boolean;
}

/** Writes the events of the daemon and all later warnings of this process to its log. */
export function startLog(bus: DaemonEvents, { level: most, json }: LogOptions): void {
  const isJournal = isConnectedToJournal(json ? 1 : 2, process.env);
  const prefix = (level: LogLevel) => (isJournal ? JOURNAL_PREFIXES[level] : "");
  if (json) {
    const stdout = new MessageStream(1, (count) => {
      const message = `stdout had no room for ${count} messages before this one`;
      return `${prefix("warn")}${jsonLine("warn", "messages-dropped", message, { count })}`;
    });
    const write = (line: string, level: LogLevel) => stdout.print(`${prefix(level)}${line}`);
    logJsonEvents(bus, write, most);
    if (isLogged("warn", most))
      writeWarningsTo((message) => write(jsonLine("warn", "warning", message), "warn"));
    else writeWarningsTo(() => {});
    return;
  }
  logEvents(bus, (line, level) => printErr(`${prefix(level)}${new Date().toISOString()} ${line}`), most);
  if (isLogged("warn", most))
    writeWarningsTo((message) => printErr(`${prefix("warn")}ffrtmp: ${oneLine(message)}`));
  else writeWarningsTo(() => {});
}

/** The journal names the stream that it reads by device and inode: systemd.exec(5), JOURNAL_STREAM. */
function isConnectedToJournal(fd: number, environment: NodeJS.ProcessEnv): boolean {
  const stream = environment["JOURNAL_STREAM"];
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(fd);
  return stream === `${dev}:${ino}`;
}
