import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";

/** As root there is no sandbox, and nothing but the page may use the network. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface BrowserOptions {
  width?: number;
  height?: number;
  colorScheme?: "light" | "dark";
}

/** A browser with a profile of its own, and all that it complained about. */
export interface Browser {
  readonly page: Page;
  readonly context: BrowserContext;
  /** The addresses that were asked for. */
  readonly requests: string[];
  /** Exceptions, and violations of the content security policy. */
  readonly faults: string[];
  close(): Promise<void>;
}

export function lacksChromium(): string | undefined {
  return existsSync(CHROMIUM) ? undefined : `needs ${CHROMIUM}`;
}

export async function openBrowser({
  width = 1240,
  height = 900,
  colorScheme = "light",
}: BrowserOptions = {}): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), "ffrtmp-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: FLAGS,
    viewport: { width, height },
    colorScheme,
    ignoreHTTPSErrors: true,
  });
  const requests: string[] = [];
  const faults: string[] = [];
  context.on("request", (request) => requests.push(request.url()));
  context.on("weberror", (error) => faults.push(String(error.error())));
  context.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) faults.push(message.text());
  });
  const page = context.pages()[0] ?? (await context.newPage());
  return {
    page,
    context,
    requests,
    faults,
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
