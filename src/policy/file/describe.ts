import { z } from "zod";
import { policySchema } from "./schema.ts";
import { innerOf, shapesAt } from "./schemaKeys.ts";

/** Returns the definition of the file as JSON Schema (draft 2020-12), for editors. */
export function toJsonSchema(): Record<string, unknown> {
  return { title: "ffrtmp policy", ...z.toJSONSchema(policySchema, { io: "input", reused: "ref" }) };
}

export interface DescribedKey {
  key: string;
  /** The purpose of the key; `undefined` where the value explains it. */
  meaning: string | undefined;
  /** The valid values, as faults describe them; empty where more keys follow. */
  right: string[];
  must: boolean;
}

/** Returns the keys at a path, in the order of the definition. `""` stands for any key of a record. */
export function describeKeys(path: readonly PropertyKey[]): DescribedKey[] {
  return shapesAt(policySchema, path).flatMap((shape) =>
    Object.entries(shape).map(([key, schema]): DescribedKey => {
      const meaning = (schema as z.ZodType).description;
      const right = new Set((meaning === undefined ? [schema] : innerOf(schema)).flatMap(describeValues));
      return { key, meaning, right: [...right], must: !(schema as z.ZodType).safeParse(undefined).success };
    }),
  );
}

function describeValues(schema: z.core.$ZodType): string[] {
  const { description } = schema as z.ZodType;
  if (description !== undefined) return [description];
  if (schema instanceof z.ZodArray)
    return describeValues(schema.element).map((each) => `a list, each item ${each}`);
  if (schema instanceof z.ZodRecord) return describeValues(schema.valueType);
  // A list in a union is that of one or more of its other option.
  return innerOf(schema).flatMap((inner) =>
    schema instanceof z.ZodUnion && inner instanceof z.ZodArray ? [] : describeValues(inner),
  );
}
