import { FFRTMP, type Sandbox } from "./sandbox.ts";

/** A line of `stats --json`. */
// biome-ignore lint/suspicious/noExplicitAny: the JSON has many keys
export type StatsLine = any;

/** Follows `stats --json` until the end of the test, and keeps its lines by job. */
export function followStats(box: Sandbox, interval: string): { of(jobId: string): StatsLine[] } {
  const lines: StatsLine[] = [];
  const child = box.spawn([FFRTMP, "stats", "--json", "--interval", interval]);
  void (async () => {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of child.stdout as ReadableStream<Uint8Array>) {
      const texts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = texts.pop() as string;
      lines.push(...texts.map((text) => JSON.parse(text)));
    }
  })();
  return { of: (jobId) => lines.filter(({ job_id }) => job_id === jobId) };
}
