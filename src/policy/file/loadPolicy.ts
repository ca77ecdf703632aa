import { HOOK_FILE } from "../endHook.ts";
import type { Policy } from "../policy.ts";
import { toWrittenPolicy } from "../policyChanges.ts";
import { compilePolicy, type Warn } from "./compile.ts";
import type { PolicyFault } from "./fault.ts";
import { faultInHookFile, whyUntrusted } from "./hookFile.ts";
import { type Machine, thisMachine } from "./machine.ts";
import { warnOfMistakes } from "./mistakes.ts";
import { readPolicyFile } from "./read.ts";
import { policySchema } from "./schema.ts";
import { faultsOfSchema } from "./schemaFaults.ts";
import { Source } from "./source.ts";

/** A policy with warnings about likely mistakes, or all faults of a file that is not valid. */
export type LoadedPolicy = { policy: Policy; warnings: PolicyFault[] } | { faults: PolicyFault[] };

/** Reads and compiles a policy file. `unreadable` continues a sentence that begins with the path. */
export function loadPolicyFile(path: string): LoadedPolicy | { unreadable: string } {
  const read = readPolicyFile(path);
  if ("unreadable" in read) return read;
  return withTrustedHook(
    loadPolicy(read.text, path, { ...thisMachine(), findHookFault: faultInHookFile }),
    path,
  );
}

/** Without `on_end` where another user can change what it executes. The rest of the policy is in force. */
function withTrustedHook(loaded: LoadedPolicy & { source?: Source }, path: string): LoadedPolicy {
  const { source, ...rest } = loaded;
  if ("faults" in rest || source === undefined) return rest;
  const { onEnd, ...policy } = rest.policy;
  if (onEnd === undefined) return rest;
  const reason = whyUntrusted(path) ?? whyUntrusted(onEnd.command[0] ?? "");
  if (reason === undefined) return rest;
  const right = "a policy file and an executable that only root can change, or the user of ffrtmp watch";
  const warning = source.fault(["on_end"], "key", `is ignored: ${reason}`, right);
  return { policy, warnings: inOrder([...rest.warnings, warning]) };
}

/** Compiles the text of a policy file. `path` names it in messages; only `machine` reads anything. */
export function loadPolicy(
  text: string,
  path: string,
  machine: Machine = thisMachine(),
): LoadedPolicy & { source?: Source } {
  const source = new Source(text);
  const { faults, value } = source;
  if (value === null || value === undefined) {
    // An empty file was most likely cut off. As a policy without limits, it would release every job.
    const right = "a policy; {} governs the default commands without limits";
    if (faults.length === 0) faults.push(source.fault([], "value", "the file contains no policy", right));
    return { faults };
  }
  const parsed = policySchema.safeParse(value, { reportInput: true });
  if (!parsed.success) faults.push(...faultsOfSchema(source, policySchema, parsed.error.issues));
  if (!parsed.success || faults.length > 0) return { faults: inOrder(faults) };
  const hookFault = parsed.data.on_end && machine.findHookFault?.(parsed.data.on_end[0]);
  if (hookFault) {
    const isList = Array.isArray((value as Record<string, unknown>)["on_end"]);
    return { faults: [source.fault(isList ? ["on_end", 0] : ["on_end"], "value", hookFault, HOOK_FILE)] };
  }
  const warnings: PolicyFault[] = [];
  const warn: Warn = (at, message, right) => warnings.push(source.fault(at, "value", message, right));
  const compiled = compilePolicy(parsed.data, path, machine, warn);
  const policy = { ...compiled, written: toWrittenPolicy(value) };
  warnOfMistakes(parsed.data, value, policy, machine, warn);
  return { policy, warnings: inOrder(warnings), source };
}

function inOrder(faults: PolicyFault[]): PolicyFault[] {
  return faults.sort((a, b) => a.line - b.line || a.column - b.column);
}
