import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { LEFT_OUT, makeDashboard } from "./dashboard/dashboard.ts";

/**
 * Writes packaging/prometheus/dashboard.json, the dashboard for Grafana, from scripts/dashboard/panels.ts. With --check,
 * writes nothing and fails if the file differs. Names the panels whose metrics src/web does not export.
 */
const FILE = resolve(import.meta.dir, "../packaging/prometheus/dashboard.json");
const text = `${JSON.stringify(makeDashboard(), undefined, 2)}\n`;

if (LEFT_OUT.length > 0)
  console.log(`the dashboard has no panel without exported metrics: ${LEFT_OUT.join("; ")}`);
if (!process.argv.includes("--check")) writeFileSync(FILE, text);
else if (readFileSync(FILE, "utf8") !== text) {
  console.error(`${FILE} differs from its panels: run scripts/dashboard.ts`);
  process.exit(1);
}
