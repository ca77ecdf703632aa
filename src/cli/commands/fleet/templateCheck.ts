import { basename } from "node:path";
import { expandTemplate } from "../../../fleet/dispatch/expand.ts";
import { parseTemplate, type Template } from "../../../fleet/dispatch/template.ts";
import { Refusal } from "../../../jobs/errors.ts";
import type { PolicyFault } from "../../../policy/file/fault.ts";
import { whyUntrusted } from "../../../policy/file/hookFile.ts";
import { readPolicyFile } from "../../../policy/file/read.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printFaults } from "../../output/faults.ts";
import { printErr, printError, printJson, printOut, warn } from "../../output/messages.ts";

interface CheckFlags {
  param?: Record<string, string>;
  attempt: number;
  job: string;
  json?: boolean;
}

const INVALID = 2;

/** Returns exit code 0 for a template that can be used, and 2 for one with faults, or values that it refuses. */
export function checkTemplate(path: string, flags: CheckFlags): number {
  const read = readPolicyFile(path);
  if ("unreadable" in read) return fail(path, read.unreadable, flags);
  const parsed = parseTemplate(read.text);
  if ("faults" in parsed) return fail(path, "cannot be used", flags, parsed.faults);
  const untrusted = whyUntrusted(path);
  if (untrusted !== undefined) warn(`a runner will not use this file: ${untrusted}`);
  return flags.param === undefined && Object.keys(parsed.value.params).length > 0
    ? describe(path, parsed.value, flags)
    : show(path, parsed.value, flags);
}

function fail(path: string, reason: string, { json }: CheckFlags, faults: PolicyFault[] = []): number {
  if (!json) return showFaults(path, reason, faults);
  printJson({ path, valid: false, reason, faults, argv: null });
  return INVALID;
}

/** Prints why a template cannot be used, each fault with its line, and returns the exit code for it. */
export function showFaults(path: string, reason: string, faults: readonly PolicyFault[] = []): number {
  printError(`${path} ${reason}`);
  printFaults(basename(path), faults);
  return INVALID;
}

function describe(path: string, { params, options }: Template, { json }: CheckFlags): number {
  if (json) printJson({ path, valid: true, reason: null, faults: [], argv: null });
  else {
    const names = Object.entries(params).map(([name, { type }]) => `${name} (${type})`);
    printOut(
      `${oneLine(path)} is valid: parameters ${names.join(", ")}; options ${options.join(" ") || "none"}`,
    );
    printErr("  to see what it would execute: --param NAME=VALUE for each");
  }
  return 0;
}

/** Prints one argument on each line, because spaces in one are no separators. */
function show(path: string, template: Template, { param = {}, attempt, job, json }: CheckFlags): number {
  let argv: string[];
  try {
    argv = expandTemplate(template, { job, attempt, params: param });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (json) printJson({ path, valid: true, reason: error.message, faults: [], argv: null });
    else throw error;
    return INVALID;
  }
  if (json) printJson({ path, valid: true, reason: null, faults: [], argv });
  else for (const word of argv) printOut(oneLine(word));
  return 0;
}
