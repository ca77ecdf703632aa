/**
 * A request that cannot or must not be fulfilled; nothing was changed.
 * The message names the action, its object and the reason; the hint is what to do next.
 */
export class Refusal extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}
