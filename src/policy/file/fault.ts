/** One thing that is wrong in a policy file, and where. */
export interface PolicyFault {
  /** From 1. */
  line: number;
  /** In characters, from 1. */
  column: number;
  /** Where it stands: `rules[2].limits.cpu_quota`; empty for the file as a whole. */
  key: string;
  /** What stands there, shortened to one line; empty when something is missing. */
  text: string;
  /** What is wrong with it. */
  message: string;
  /** What would be right. */
  right: string;
}

/** `policy.yaml:12:16: rules[2].limits.cpu_quota: "lots" is …`, without the hint of what would be right. */
export function faultText(path: string, { line, column, key, text, message }: PolicyFault): string {
  const place = `${path}:${line}:${column}: ${key === "" ? "" : `${key}: `}`;
  return `${place}${text === "" ? "" : `${text} `}${message}`;
}
