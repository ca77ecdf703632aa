import { afterEach, expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { lacksPage, liveStream, type ShownPage, showPage } from "../support/page.ts";
import { testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const pageTest = testIf(lacksPage());
let shown: ShownPage | undefined;

afterEach(async () => {
  await shown?.close();
  shown = undefined;
});

pageTest("the page says that its data are old while the daemon does not answer, and recovers", async () => {
  shown = await showPage(sandbox());
  const { page, daemon } = shown;
  await page.getByText("● live").waitFor();
  daemon.process.kill("SIGSTOP");
  const alert = page.getByRole("alert");
  await alert.getByText(/These figures are old, of \d\d:\d\d:\d\d/).waitFor();
  await alert.getByText("ffrtmp watch does not answer").waitFor();
  await page.getByText(/^○ \d+ s old$/).waitFor();
  daemon.process.kill("SIGCONT");
  await page.getByText("● live").waitFor();
  expect(await alert.textContent()).toBe("");
});

pageTest(
  "the page keeps its figures after a crash of the daemon, and says that another one answers",
  async () => {
    shown = await showPage(sandbox());
    const { page, daemon } = shown;
    await sandbox().startJob("live-1", [], liveStream());
    const row = page.getByRole("row", { name: "live-1" });
    await row.waitFor();
    daemon.process.kill("SIGKILL");
    await page.getByRole("alert").getByText("cannot be reached").waitFor();
    expect(await row.count()).toBe(1);
    await shown.restart();
    await page.getByText("● live").waitFor();
    await page.getByText(/ffrtmp watch was restarted at \d\d:\d\d:\d\d/).waitFor();
    expect(await row.count()).toBe(1);
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByText("was restarted").waitFor({ state: "detached" });
  },
);

pageTest("a server with a token shows a form first, and the page keeps the token for its tab", async () => {
  const token = "0123456789abcdef0123456789abcdef";
  const path = sandbox().path("token");
  writeFileSync(path, `${token}\n`, { mode: 0o600 });
  shown = await showPage(sandbox(), { flags: ["--token-file", path] });
  const { page, url, context } = shown;
  const field = page.getByLabel("Token");
  await field.fill("another-token-of-16");
  await page.keyboard.press("Enter");
  await page.getByText("The server has another token.").waitFor();
  await field.fill(token);
  await page.getByRole("button", { name: "Show the jobs" }).click();
  await page.getByText("● live").waitFor();
  await page.getByRole("link", { name: "Policy" }).click();
  await page.getByText("It comes from the command line").waitFor();
  await page.reload();
  await page.getByText("● live").waitFor();
  // The files of the page have no data. Everything else is refused without the token, also to another tab.
  const status = async (path: string) => (await fetch(`${url}${path}`)).status;
  expect(await Promise.all(["", "page.js", "page.css"].map(status))).toEqual([200, 200, 200]);
  expect(await Promise.all(["metrics", "api/v1/snapshot", "api/v1/stream", "nothing"].map(status))).toEqual([
    401, 401, 401, 401,
  ]);
  const other = await context.newPage();
  await other.goto(url);
  // No header can have this text, as it is pasted from a document.
  await other.getByLabel("Token").fill(`${token}—`);
  await other.keyboard.press("Enter");
  await other.getByText("The server has another token.").waitFor();
});
