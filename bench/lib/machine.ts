import { cpus, release } from "node:os";

/** What the figures hang on, in one line. */
export function describeMachine(): string {
  const models = cpus();
  const model = models[0]?.model.replace(/\s+/g, " ").trim() ?? "unknown CPU";
  return `Linux ${release()}, ${models.length} cores (${model}), Bun ${Bun.version}`;
}
