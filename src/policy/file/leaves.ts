import { z } from "zod";
import { ValueFault } from "../../limits/units.ts";

/** Builders of the values of a policy file. Each has a description for faults, editors and the manual. */

export interface FaultParams {
  /** Describes a valid value. */
  right: string;
  /** The part of the text that the fault points to; the value when absent. */
  at?: "key" | "value";
}

const words = z.string();
const numbers = z.number();

/** Returns the schema of a text or a number that `parse` converts. `right` describes a valid value. */
export function value<T>(right: string, parse: (value: string | number) => T) {
  return leaf(z.union([numbers, words], { error: right }).meta({ description: right }), right, parse);
}

export function text<T>(right: string, parse: (value: string) => T) {
  return leaf(z.string({ error: right }).meta({ description: right }), right, parse);
}

export function number<T>(right: string, description: string, parse: (value: number) => T) {
  return leaf(z.number({ error: right }).meta({ description }), right, parse);
}

export function yesOrNo(right: string) {
  return z.boolean({ error: right }).meta({ description: right });
}

function leaf<I, T>(schema: z.ZodType<I>, right: string, parse: (value: I) => T) {
  return schema.transform((input, context): T => {
    try {
      return parse(input);
    } catch (error) {
      if (!(error instanceof ValueFault)) throw error;
      context.addIssue({ code: "custom", message: error.message, params: { right } satisfies FaultParams });
      return z.NEVER;
    }
  });
}

/** Returns the schema of a list of at least one item. A single item may be written without the list. */
export function oneOrMore<T extends z.ZodType>(item: T) {
  const right = "one value, or a list of at least one";
  const error = ({ input }: { input?: unknown }) => (Array.isArray(input) ? right : undefined);
  const list = z.array(item).min(1, { error: right });
  return z.union([list, item.transform((only): z.output<T>[] => [only])], { error });
}

/** Returns the schema of a list that may be empty, or missing after its key. */
export function anyNumber<T extends z.ZodType>(item: T, right: string) {
  return z.array(item, { error: right }).nullish();
}

export type Report = (path: PropertyKey[], message: string, right: string, at?: "key" | "value") => void;

/** Adds a check of a whole section. It also runs when a value inside is invalid, so that all is reported. */
export function checked<T extends z.ZodType>(schema: T, check: (section: object, report: Report) => void): T {
  return schema.superRefine(
    (section, context) => {
      if (typeof section !== "object" || section === null) return;
      check(section, (path, message, right, at = "key") => {
        context.addIssue({ code: "custom", path, message, params: { right, at } satisfies FaultParams });
      });
    },
    { when: () => true },
  );
}
