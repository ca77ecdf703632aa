import { faultText, type PolicyFault } from "../../policy/file/fault.ts";
import { oneLine } from "../../sys/visibleText.ts";
import { printErr } from "./messages.ts";

/** Prints faults of a file, each with its place, and with a valid value on a line of its own. */
export function printFaults(path: string, faults: readonly PolicyFault[]): void {
  for (const fault of faults) {
    printErr(oneLine(faultText(path, fault)));
    printErr(`    expected: ${oneLine(fault.right)}`);
  }
}
