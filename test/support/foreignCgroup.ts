import { readdirSync, readFileSync, rmdirSync } from "node:fs";
import { until } from "./sandbox.ts";

/** Ends the processes in a cgroup v1 of a test and in its children, and removes them all. */
export async function removeOwner(path: string): Promise<void> {
  for (const pid of occupants(path)) process.kill(pid, "SIGKILL");
  await until("the cgroup is empty", () => occupants(path).length === 0);
  for (const job of readdirSync(path, { withFileTypes: true }))
    if (job.isDirectory()) rmdirSync(`${path}/${job.name}`);
  rmdirSync(path);
}

function occupants(owner: string): number[] {
  const groups = readdirSync(owner, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const paths = [owner, ...groups.map(({ name }) => `${owner}/${name}`)];
  return paths.flatMap((path) =>
    readFileSync(`${path}/tasks`, "utf8").split("\n").filter(Boolean).map(Number),
  );
}
