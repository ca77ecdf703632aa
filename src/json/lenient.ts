import { z } from "zod";

/**
 * Reads an object that another release of ffrtmp may have made: further keys are left out, and a value that is missing or not
 * of its type is `null`. So code that expects `null` for what is unknown can use it.
 */
export function readLeniently(schema: z.ZodType, value: unknown): unknown {
  if (schema instanceof z.ZodNullable || schema instanceof z.ZodOptional)
    return value === null || value === undefined ? null : readLeniently(schema.unwrap() as z.ZodType, value);
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
