import { z } from "zod";

/** Returns the keys that a schema knows at a path; none where any key is allowed. */
export function knownKeys(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  return shapesAt(schema, path).flatMap((shape) => Object.keys(shape));
}

/** Returns the shapes of the mappings that are valid at a path in a schema. */
export function shapesAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): z.core.$ZodShape[] {
  const inner = innerOf(schema);
  if (inner.length > 0) return inner.flatMap((each) => shapesAt(each, path));
  const [part, ...rest] = path;
  if (part === undefined) return schema instanceof z.ZodObject ? [schema.shape] : [];
  const child = childOf(schema, part);
  return child === undefined ? [] : shapesAt(child, rest);
}

function childOf(schema: z.core.$ZodType, part: PropertyKey): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodObject) return schema.shape[String(part)];
  if (schema instanceof z.ZodArray) return schema.element;
  return schema instanceof z.ZodRecord ? schema.valueType : undefined;
}

/** Returns the schemas inside `optional`, `nullable`, unions and transformations. */
export function innerOf(schema: z.core.$ZodType): readonly z.core.$ZodType[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return [schema.unwrap()];
  if (schema instanceof z.ZodUnion) return schema.options;
  if (schema instanceof z.ZodPipe) return [schema.in, schema.out];
  return [];
}
