import type { Benchmark } from "./lib/benchmark.ts";
export const scan: Benchmark = { title: "Scan", needs: {}, run: async () => "" };
