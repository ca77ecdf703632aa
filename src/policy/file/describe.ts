import { z } from "zod";
import { policySchema } from "./schema.ts";

/** Returns the definition of the file as JSON Schema (draft 2020-12), for editors. */
export function toJsonSchema(): Record<string, unknown> {
  return { title: "ffrtmp policy", ...z.toJSONSchema(policySchema, { io: "input", reused: "ref" }) };
}

/** Returns the keys that are known at a path; none where any key is allowed. */
export function knownKeys(path: readonly PropertyKey[]): string[] {
  return shapesAt(path).flatMap((shape) => Object.keys(shape));
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
  return shapesAt(path).flatMap((shape) =>
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

/** Returns the shapes of the mappings that are valid at a path in a schema. */
function shapesAt(path: readonly PropertyKey[], schema: z.core.$ZodType = policySchema): z.core.$ZodShape[] {
  const inner = innerOf(schema);
  if (inner.length > 0) return inner.flatMap((each) => shapesAt(path, each));
  const [part, ...rest] = path;
  if (part === undefined) return schema instanceof z.ZodObject ? [schema.shape] : [];
  const child = childOf(schema, part);
  return child === undefined ? [] : shapesAt(rest, child);
}

function childOf(schema: z.core.$ZodType, part: PropertyKey): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodObject) return schema.shape[String(part)];
  if (schema instanceof z.ZodArray) return schema.element;
  return schema instanceof z.ZodRecord ? schema.valueType : undefined;
}

/** Returns the schemas inside `optional`, `nullable`, unions and transformations. */
function innerOf(schema: z.core.$ZodType): readonly z.core.$ZodType[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return [schema.unwrap()];
  if (schema instanceof z.ZodUnion) return schema.options;
  if (schema instanceof z.ZodPipe) return [schema.in, schema.out];
  return [];
}
