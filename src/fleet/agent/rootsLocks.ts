import { Refusal } from "../../jobs/errors.ts";
import type { Acceptance } from "../dispatch/accept.ts";
import { type Locks, stampOfLocks } from "../dispatch/locks.ts";

/**
 * What root allows, as an earlier start of the agent has read it. Its schemas and the parser of YAML take 4 MB, which a process cannot
 * give back, so a change of the files is read by a new start: `renew` does not return, unless that is not possible.
 */
export class RootsLocks {
  readonly #accept: string;
  readonly #renew: () => Locks | undefined;
  #locks: Locks;

  constructor(accept: string, locks: Locks, renew: () => Locks | undefined) {
    this.#accept = accept;
    this.#locks = locks;
    this.#renew = renew;
  }

  /** Returns root's permission; `undefined`: dispatch is off. Throws a Refusal where it cannot be used. */
  acceptance(): Acceptance | undefined {
    this.#look();
    const { acceptance, fault } = this.#locks;
    if (fault !== null) throw new Refusal(fault);
    return acceptance === null ? undefined : { ...acceptance, trusted: new Set(acceptance.trusted) };
  }

  /** Returns the names of root's templates, sorted. */
  get templates(): string[] {
    return Object.keys(this.#locks.templates);
  }

  /** Returns why a template cannot be used; `null`: it can. `undefined`: root has none of this name. */
  faultOfTemplate(name: string): string | null | undefined {
    return Object.hasOwn(this.#locks.templates, name) ? this.#locks.templates[name] : undefined;
  }

  #look(): void {
    if (stampOfLocks(this.#accept) === this.#locks.stamp) return;
    const locks = this.#renew();
    if (locks === undefined)
      throw new Refusal("what root allows has changed, and cannot be read", "restart the agent");
    this.#locks = locks;
  }
}
