import type { Problem } from "../problem.ts";

/** A query that a route does not understand. */
export class BadQuery extends Error {
  readonly problem: Problem;

  constructor(parameter: string, detail: string, next: string) {
    super(detail);
    this.problem = { status: 400, detail, parameter, next };
  }
}

/** Reads the parameters of a query. Each method throws BadQuery for a value that is not valid. */
export class Query {
  readonly #parameters: URLSearchParams;

  /** Throws BadQuery for a parameter that is not in `known`, or given twice. */
  constructor(request: Request, known: readonly string[]) {
    this.#parameters = URL.parse(request.url, "http://localhost")?.searchParams ?? new URLSearchParams();
    const hint =
      known.length === 0 ? "leave it out: this route has no parameters" : `known: ${known.join(", ")}`;
    for (const name of new Set(this.#parameters.keys())) {
      if (!known.includes(name)) throw new BadQuery(name, `there is no parameter ${shown(name)}`, hint);
      if (this.#parameters.getAll(name).length > 1)
        throw new BadQuery(name, `${name} is given more than once`, "give it once");
    }
  }

  /** Returns a whole number from 1 to `max`. */
  count(name: string, { max, usual }: { max: number; usual: number }): number {
    const text = this.#parameters.get(name);
    if (text === null) return usual;
    const number = /^\d{1,9}$/.test(text) ? Number(text) : 0;
    if (number < 1 || number > max)
      throw new BadQuery(
        name,
        `${name}=${shown(text)} is not a whole number from 1 to ${max}`,
        `leave it out for ${usual}`,
      );
    return number;
  }

  /** Returns `undefined` where the parameter is absent. */
  flag(name: string): boolean | undefined {
    const text = this.#parameters.get(name);
    if (text !== null && text !== "true" && text !== "false")
      throw new BadQuery(name, `${name}=${shown(text)} is neither true nor false`, `give ${name}=true`);
    return text === null ? undefined : text === "true";
  }

  /** Returns the place that `parse` finds in the text; `undefined` where the parameter is absent. */
  place<Place>(name: string, parse: (text: string) => Place | undefined): Place | undefined {
    const text = this.#parameters.get(name);
    if (text === null) return undefined;
    const place = parse(text);
    if (place === undefined)
      throw new BadQuery(
        name,
        `${name}=${shown(text)} is not a value that this route has returned`,
        "give the value of `next` of an earlier answer",
      );
    return place;
  }
}

const MAX_SHOWN = 100;

/** A client is shown its own text, and no more of it than a person reads. */
function shown(text: string): string {
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}…`;
}
