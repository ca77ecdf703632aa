import type { Benchmark } from "./lib/benchmark.ts";
export const idle: Benchmark = { title: "Idle", needs: {}, run: async () => "" };
