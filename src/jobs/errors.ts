/**
 * Something was asked that cannot or must not be done; nothing was changed.
 * The message says what was tried, on what and why not; the hint says what to do next.
 */
export class Refusal extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}
