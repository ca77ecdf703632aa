import { expect, test } from "bun:test";
import { Budget } from "./budget.ts";
import { metricsRoutes } from "./metricsRoute.ts";

const REQUEST = new Request("http://localhost:9797/metrics") as Bun.BunRequest;
const FAMILY = { name: "ffrtmp_x", type: "gauge", help: "A number.", samples: [{ value: 1 }] } as const;

test("metrics are made as an ordinary program", async () => {
  let isBackground = false;
  const made: boolean[] = [];
  const source = {
    families() {
      made.push(isBackground);
      return [FAMILY];
    },
    inBackground<T>(work: () => T): T {
      isBackground = true;
      try {
        return work();
      } finally {
        isBackground = false;
      }
    },
  };
  const response = await metricsRoutes(() => source)["/metrics"]?.(REQUEST);
  expect(response?.status).toBe(200);
  expect(await response?.text()).toContain("\nffrtmp_x 1\n");
  expect(made).toEqual([true]);
});

test("a scraper without a pause is refused before it takes more than a quarter of a core", async () => {
  let cpuMs = 0;
  const source = {
    families() {
      cpuMs += 100;
      return [FAMILY];
    },
    inBackground: <T>(work: () => T): T => work(),
  };
  const budget = new Budget(
    () => 0,
    () => cpuMs,
  );
  const ask = async () => (await metricsRoutes(() => source, budget)["/metrics"]?.(REQUEST))?.status;
  expect([await ask(), await ask(), await ask(), await ask()]).toEqual([200, 200, 200, 503]);
});

test("while the daemon starts, the scraper is asked to come back", async () => {
  const response = await metricsRoutes(() => undefined)["/metrics"]?.(REQUEST);
  expect([response?.status, response?.headers.get("retry-after")]).toEqual([503, "1"]);
});
