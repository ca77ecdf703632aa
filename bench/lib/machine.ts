import { cpus, release } from "node:os";

/** Describes in one line the machine that the figures depend on. */
export function describeMachine(): string {
  const models = cpus();
  const model = models[0]?.model.replace(/\s+/g, " ").trim() ?? "unknown CPU";
  return `Linux ${release()}, ${models.length} cores (${model}), Bun ${Bun.version}`;
}
