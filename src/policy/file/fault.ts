export interface PolicyFault {
  /** From 1. */
  line: number;
  /** In characters, from 1. */
  column: number;
  /** The key with the keys around it: `rules[2].limits.cpu_quota`; empty for the file as a whole. */
  key: string;
  /** The faulty text, shortened to one line; empty when something is missing. */
  text: string;
  /** Continues a sentence that begins with the faulty text. */
  message: string;
  /** Describes a valid value. */
  right: string;
}

/** Returns `policy.yaml:12:16: rules[2].limits.cpu_quota: "lots" is …`, without the valid values. */
export function faultText(path: string, { line, column, key, text, message }: PolicyFault): string {
  const place = `${path}:${line}:${column}: ${key === "" ? "" : `${key}: `}`;
  return `${place}${text === "" ? "" : `${text} `}${message}`;
}
