import { afterEach, expect } from "bun:test";
import { lacksPage, liveStream, type ShownPage, showPage } from "../support/page.ts";
import { testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const pageTest = testIf(lacksPage());
let shown: ShownPage | undefined;

afterEach(async () => {
  await shown?.close();
  shown = undefined;
});

/** Needs a multiple of its quota of 4 % of a core. */
const STARVED =
  "ffmpeg -nostdin -v error -re -f lavfi -i testsrc2=s=640x360:r=25 -c:v libx264 -preset faster -f null -";

pageTest("a stream that its quota holds back is shown first, with the reason in words", async () => {
  shown = await showPage(sandbox());
  const { page } = shown;
  await sandbox().startJob("a-free", [], liveStream());
  await sandbox().startJob("z-starved", ["--cpu-quota", "4", "--progress"], STARVED.split(" "));
  const rows = page.getByRole("table", { name: "Running jobs" }).getByRole("row");
  await rows.nth(2).waitFor();
  // It is said when it was so for 30 s.
  await page.getByText("held back by its own CPU quota").waitFor({ timeout: 150_000 });
  expect(await rows.nth(1).textContent()).toContain("z-starved");
  expect(await rows.nth(2).textContent()).toContain("a-free");
  await page.getByText(/^1 hindered$/).waitFor();
  await page.getByLabel("Filter").fill("hindered");
  await page.getByText("1 of 2 jobs").waitFor();
});
