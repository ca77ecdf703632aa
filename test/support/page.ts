import { type Browser, type BrowserOptions, lacksChromium, openBrowser } from "./browser.ts";
import { freePort } from "./ports.ts";
import { lacksCommand, lacksLimits, type Sandbox } from "./sandbox.ts";
import { startDaemon, type WatchDaemon } from "./watchDaemon.ts";

/** A daemon that serves the page, and a browser that shows it. */
export interface ShownPage extends Browser {
  readonly url: string;
  readonly daemon: WatchDaemon;
  /** Starts the daemon again at the same address. */
  restart(): Promise<void>;
}

export const lacksPage = (): string | undefined => lacksLimits() ?? lacksChromium() ?? lacksCommand("ffmpeg");

/** Starts `ffrtmp watch` with its page, which finds nothing by itself, and opens the page. Close it at the end of the test. */
export async function showPage(
  box: Sandbox,
  { flags = [], ...options }: BrowserOptions & { flags?: string[] } = {},
): Promise<ShownPage> {
  const address = `127.0.0.1:${freePort()}`;
  const start = () => startDaemon(box, ["--target", `none-${box.tag}`, "--listen", address, ...flags]);
  let daemon = await start();
  const browser = await openBrowser(options);
  const url = `http://${address}/`;
  await browser.page.goto(url);
  return {
    ...browser,
    url,
    get daemon() {
      return daemon;
    },
    async restart() {
      daemon = await start();
    },
  };
}

/** A transcode in real time that needs a few percent of a core. */
export const liveStream = (seconds = 600): string[] =>
  `ffmpeg -nostdin -v error -re -f lavfi -i testsrc2=s=160x120:r=10 -t ${seconds} -c:v mpeg2video -f null -`.split(
    " ",
  );
