import { z } from "zod";

/**
 * Reads a value that another release of ffrtmp may have made: further keys are left out, and a value that is missing or not of
 * its type is `null`, or absent where it may be. An element of a list that is not of its type is left out. So code that expects
 * `null` for what is unknown can use the result.
 */
export function readLeniently(schema: z.ZodType, value: unknown): unknown {
  if (schema instanceof z.ZodOptional) return readLeniently(schema.unwrap() as z.ZodType, value) ?? undefined;
  if (schema instanceof z.ZodNullable) return readLeniently(schema.unwrap() as z.ZodType, value);
  if (schema instanceof z.ZodArray) {
    if (!Array.isArray(value)) return null;
    return value
      .map((each) => readLeniently(schema.element as z.ZodType, each))
      .filter((each) => each !== null);
  }
  if (schema instanceof z.ZodObject) {
    if (typeof value !== "object" || value === null) return null;
    const keys = Object.entries(schema.shape as Record<string, z.ZodType>);
    return Object.fromEntries(
      keys.map(([key, each]) => [key, readLeniently(each, (value as Record<string, unknown>)[key])]),
    );
  }
  const { success, data } = schema.safeParse(value);
  return success ? data : null;
}
