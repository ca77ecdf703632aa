import { basename } from "node:path";
import type { z } from "zod";
import { Refusal } from "../../jobs/errors.ts";
import { faultText, type PolicyFault } from "../../policy/file/fault.ts";
import { whyUntrusted } from "../../policy/file/hookFile.ts";
import { readPolicyFile } from "../../policy/file/read.ts";
import { faultsOfSchema } from "../../policy/file/schemaFaults.ts";
import { Source } from "../../policy/file/source.ts";

/** The value of a YAML text, or all its faults with their places. */
export type ParsedYaml<T> = { readonly value: T } | { readonly faults: PolicyFault[] };

/** Converts a YAML text. Every fault is reported, and not the first one alone. */
export function parseYaml<T>(text: string, schema: z.ZodType<T>): ParsedYaml<T> {
  const source = new Source(text);
  if (source.faults.length > 0) return { faults: source.faults };
  const { data, error } = schema.safeParse(source.value, { reportInput: true });
  if (error === undefined) return { value: data as T };
  const faults = faultsOfSchema(source, schema, error.issues);
  return { faults: faults.sort((a, b) => a.line - b.line || a.column - b.column) };
}

/**
 * Reads a file that decides what is executed: one that root alone can change, or this user. `undefined` where there is none.
 * Throws a Refusal that names each fault with its line. `hint`: how to get a correct file.
 */
export function readTrustedYaml<T>(path: string, schema: z.ZodType<T>, hint: string): T | undefined {
  const text = readTrustedText(path, hint);
  if (text === undefined) return undefined;
  const parsed = parseYaml(text, schema);
  if ("value" in parsed) return parsed.value;
  throw new Refusal(`${path} cannot be used: ${describeFaults(path, parsed.faults)}`, hint);
}

function readTrustedText(path: string, hint: string): string | undefined {
  const read = readPolicyFile(path);
  if ("unreadable" in read && read.unreadable === MISSING) return undefined;
  if ("unreadable" in read) throw new Refusal(`${path} ${read.unreadable}`, hint);
  // After the reading: a user who cannot change the file now could not change it before.
  const reason = whyUntrusted(path);
  if (reason !== undefined) throw new Refusal(`${path} is not used: ${reason}`, `chmod go-w ${path}`);
  return read.text;
}

const MISSING = "does not exist";

/** Returns `accept.yaml:3:8: slots: "x" is not valid (expected: a whole number); …`. */
export function describeFaults(path: string, faults: readonly PolicyFault[]): string {
  return faults.map((fault) => `${faultText(basename(path), fault)} (expected: ${fault.right})`).join("; ");
}
