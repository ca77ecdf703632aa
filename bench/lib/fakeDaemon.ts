import { pageRoutes } from "../../src/web/pageRoutes.ts";
import { fakeSnapshot } from "./fakeSnapshot.ts";

export interface FakeDaemon {
  readonly url: string;
  stop(): void;
}

/** Serves the page and a stream of snapshots of as many jobs, one each second. */
export function startFakeDaemon(jobCount: number): FakeDaemon {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    routes: { ...pageRoutes, "/api/v1/stream": () => stream(jobCount) },
    fetch: () => new Response("not found\n", { status: 404 }),
  });
  return { url: `http://127.0.0.1:${server.port}/`, stop: () => void server.stop(true) };
}

function stream(jobCount: number): Response {
  let timer: Timer | undefined;
  let second = 0;
  const body = new ReadableStream({
    start(controller) {
      const send = () => {
        controller.enqueue(`event: snapshot\ndata: ${JSON.stringify(fakeSnapshot(jobCount, second++))}\n\n`);
      };
      send();
      timer = setInterval(send, 1000);
    },
    cancel: () => clearInterval(timer),
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
}
