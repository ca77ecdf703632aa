/** A call of the command of `on_end`, as one line of JSON from the daemon to the hook runner. */
export interface HookRequest {
  id: number;
  command: readonly string[];
  timeoutMs: number;
  /** The standard input of the command. */
  input: string;
  environment: Record<string, string>;
}

/** The end of a call, as one line of JSON from the hook runner to the daemon. */
export interface HookReport {
  id: number;
  /** Continues a sentence that begins with the command; `null` for exit code 0. */
  failure: string | null;
  /** The start of what the command wrote to stdout and stderr. */
  output: string;
}
