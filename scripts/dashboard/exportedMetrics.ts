import { readFileSync } from "node:fs";

/**
 * Returns the names of the metrics that src/web exports, as Prometheus stores them. Read from the source, because some of
 * them have series only on certain machines: those of GPUs, for example.
 */
export function exportedMetrics(): ReadonlySet<string> {
  const names = new Set<string>();
  for (const file of new Bun.Glob("src/web/**/*.ts").scanSync()) {
    if (file.endsWith(".test.ts")) continue;
    for (const [, name = ""] of readFileSync(file, "utf8").matchAll(/"(ffrtmp_\w+)"/g)) {
      names.add(name);
      // Of counters: src/web/exposition.ts adds it.
      names.add(`${name}_total`);
    }
  }
  return names;
}

/** Returns the names of the metrics in an expression of Prometheus. */
export function metricsIn(expr: string): string[] {
  return [...expr.matchAll(/\bffrtmp_\w+/g)].map(([name]) => name);
}
