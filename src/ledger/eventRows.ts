import { type RecordedEvent, recordedEvent } from "../jobs/model/jobEvent.ts";
import type { Row } from "./database.ts";

/** The key of the events that belong to no job. */
export const DAEMON_KEY = "";

export const EVENT_COLUMNS = "at_ms, at_boot_ms, kind, detail";

export function rowToEvent({ at_ms: atMs, at_boot_ms: boot, kind, detail }: Row): RecordedEvent {
  const times = { atMs: Number(atMs), ...(boot === null ? {} : { atBootMs: Number(boot) }) };
  return recordedEvent(times, String(kind), parseJson(String(detail)));
}

/** Returns `undefined` for text that is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
