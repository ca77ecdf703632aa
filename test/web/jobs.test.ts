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

pageTest("a job is shown with what it uses, and leaves for the ended ones when it ends", async () => {
  shown = await showPage(sandbox());
  const { page } = shown;
  await page.getByText("No job runs now").waitFor();
  const { pid } = await sandbox().startJob(
    "live-1",
    ["--cpu-quota", "150", "--memory-max", "2G"],
    liveStream(),
  );
  const row = page.getByRole("row", { name: "live-1" });
  await row.getByText(/^\d\.\d\d \/ 1\.5/).waitFor();
  await row.getByText(/MiB \/ 2 GiB$/).waitFor();
  await page.getByText(/^1 job$/).waitFor();
  process.kill(pid, "SIGTERM");
  await page.getByText("No job runs now").waitFor();
  await page
    .getByRole("table", { name: "Jobs that ended last" })
    .getByRole("link", { name: "live-1" })
    .waitFor();
  expect(shown.faults).toEqual([]);
});

pageTest("the view of a job has its charts, limits, facts and timeline, also after its end", async () => {
  shown = await showPage(sandbox());
  const { page } = shown;
  const { pid } = await sandbox().startJob(
    "live-1",
    ["--cpu-quota", "150", "--tenant", "acme"],
    liveStream(),
  );
  await page.getByRole("link", { name: "live-1" }).click();
  await page.getByRole("heading", { name: "live-1" }).waitFor();
  for (const title of ["CPU, cores", "Memory"]) {
    const chart = page.getByRole("figure").filter({ has: page.getByRole("heading", { name: title }) });
    await chart.locator("canvas").waitFor();
    // The same figures for who cannot see a canvas.
    await chart.getByText("Figures").click();
    await chart.getByRole("row").nth(1).waitFor();
  }
  await page.getByText("quota 1.50").waitFor();
  await page.getByRole("table", { name: "Limits of this job" }).getByText("applied").first().waitFor();
  await page.getByRole("definition").getByText("acme").waitFor();
  await page.getByText(/^\d\.\d\d cores$/).waitFor();
  await page
    .getByRole("table", { name: "Timeline of this job" })
    .getByText("governed", { exact: true })
    .waitFor();
  process.kill(pid, "SIGKILL");
  await page.getByText(/killed: SIGKILL/).waitFor();
  await page
    .getByRole("table", { name: "Timeline of this job" })
    .getByText("ended", { exact: true })
    .waitFor();
  expect(shown.faults).toEqual([]);
});

pageTest("what a workload's owner writes stays text, and secrets are nowhere", async () => {
  shown = await showPage(sandbox());
  const { page, faults } = shown;
  const responses: Promise<string>[] = [];
  page.on("response", (response) => {
    if (!response.url().endsWith("/stream")) responses.push(response.text().catch(() => ""));
  });
  const markup =
    "<img src=x onerror=\"document.title='taken over'\"><script>document.title='taken over'</script>";
  const secret = "s3cr3t-stream-key-4711";
  const command = [...liveStream().slice(0, -3), "-metadata", `title=${markup}`];
  const output = `rtmp://127.0.0.1:1/app/${secret}`;
  const shell = ["sh", "-c", "sleep 600", markup, "--password", secret, output];
  await sandbox().startJob("markup-1", ["--label", `note=${markup}`], shell);
  await sandbox().startJob("markup-2", [], [...command, "-f", "null", "-"]);
  for (const jobId of ["markup-1", "markup-2"]) {
    await page.goto(`${shown.url}#/jobs/${jobId}`);
    await page.getByRole("heading", { name: jobId }).waitFor();
    await page.getByText(markup).first().waitFor();
    expect(await page.locator("img, #page script").count()).toBe(0);
    expect(await page.title()).not.toContain("taken over");
    expect(await page.content()).not.toContain(secret);
  }
  expect((await Promise.all(responses)).filter((text) => text.includes(secret))).toEqual([]);
  expect(faults).toEqual([]);
});
