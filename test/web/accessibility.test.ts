import { afterEach, expect } from "bun:test";
import axe from "axe-core";
import type { Page } from "playwright-core";
import { lacksPage, liveStream, type ShownPage, showPage } from "../support/page.ts";
import { testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const pageTest = testIf(lacksPage());
let shown: ShownPage | undefined;

afterEach(async () => {
  await shown?.close();
  shown = undefined;
});

/** The views by their address, each with its heading. */
const VIEWS = {
  jobs: "Jobs",
  "jobs/live-1": "live-1",
  history: "Ended jobs",
  violations: "SLA violations",
  limits: "Refused limits",
  policy: "Policy",
};

async function open(page: Page, view: string, heading: string): Promise<void> {
  await page.evaluate(`location.hash = "#/${view}"`);
  await page.getByRole("heading", { name: heading, exact: true, level: 2 }).waitFor({ state: "attached" });
  await page.locator("main").locator(".data, .jobs, .empty").first().waitFor();
}

/** Returns the serious and critical findings of axe. */
async function findings(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = (await page.evaluate("axe.run()")) as axe.AxeResults;
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

for (const colorScheme of ["light", "dark"] as const)
  pageTest(`every view is accessible in ${colorScheme}, and fits a phone`, async () => {
    shown = await showPage(sandbox(), { colorScheme });
    const { page, url, requests, faults } = shown;
    await sandbox().startJob(
      "live-1",
      ["--cpu-quota", "150", "--memory-max", "2G", "--tenant", "acme"],
      liveStream(),
    );
    await sandbox().run(["run", "--job-id", "ended-1", "--", "false"]);
    await page.getByRole("row", { name: "ended-1" }).waitFor();
    for (const [view, heading] of Object.entries(VIEWS)) {
      for (const width of [1240, 390]) {
        await page.setViewportSize({ width, height: 844 });
        await open(page, view, heading);
        expect({ view, width, findings: await findings(page) }).toEqual({ view, width, findings: [] });
        const scrolled = await page.evaluate("document.documentElement.scrollWidth");
        expect({ view, scrolled }).toEqual({ view, scrolled: width });
      }
    }
    const background = String(await page.evaluate("getComputedStyle(document.body).backgroundColor"));
    const red = Number(/\d+/.exec(background)?.[0]);
    expect(red < 128).toBe(colorScheme === "dark");
    expect(requests.filter((each) => !each.startsWith(url) && !each.startsWith("data:"))).toEqual([]);
    expect(faults).toEqual([]);
  });

pageTest("everything can be reached and used by keyboard alone", async () => {
  shown = await showPage(sandbox());
  const { page } = shown;
  await sandbox().startJob("job-1", [], ["sleep", "600"]);
  await sandbox().startJob("job-2", [], ["sleep", "600"]);
  const focused = () => page.evaluate("document.activeElement.textContent");
  await page.getByRole("row", { name: "job-2" }).waitFor();
  await page.keyboard.press("Tab");
  expect(await focused()).toBe("Skip to the jobs");
  await page.keyboard.press("Enter");
  expect(await focused()).toBe("Jobs");
  await page.keyboard.press("/");
  await page.keyboard.type("job");
  await page.keyboard.press("Tab");
  expect(await focused()).toBe("job-1");
  await page.keyboard.press("ArrowDown");
  expect(await focused()).toBe("job-2");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "job-2" }).waitFor();
  expect(await focused()).toBe("job-2");
  await page.keyboard.press("Escape");
  await page.getByRole("row", { name: "job-1" }).waitFor();
});
