import { afterEach, expect, test } from "bun:test";
import { freePort } from "../../test/support/ports.ts";
import { startWebServer, type WebServer } from "./server.ts";

let server: WebServer | undefined;
const failures: string[] = [];

afterEach(() => {
  server?.stop();
  failures.length = 0;
});

function start(): string {
  const port = freePort();
  const routes = {
    "/fine": () => new Response("fine"),
    "/api/v1/:broken": () => {
      throw new Error("a fault");
    },
  };
  const reports = {
    connectionsEnded() {},
    requestFailed: (route: string, reason: string) => void failures.push(`${route}: ${reason}`),
  };
  const listen = { hostname: "127.0.0.1", port, isLoopback: true };
  server = startWebServer({ listen }, routes, {}, reports);
  return server.url;
}

test("a fault in one request is reported with the route, not with the client's text", async () => {
  const url = start();
  const response = await fetch(`${url}/api/v1/x%0Aforged`);
  expect(response.status).toBe(500);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(response.headers.get("content-security-policy")).toStartWith("default-src 'none'");
  expect(failures).toEqual(["/api/v1/:broken: a fault"]);
  expect(await (await fetch(`${url}/fine`)).text()).toBe("fine");
});

test("a client is shown no more of its own path than a person reads", async () => {
  const response = await fetch(`${start()}/${"a".repeat(5000)}`);
  expect(response.status).toBe(404);
  expect((await response.text()).length).toBeLessThan(400);
});
