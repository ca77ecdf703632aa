import { expect, test } from "bun:test";
import type { NatsConnection } from "@nats-io/nats-core";
import { lacksDispatch } from "./serverVersion.ts";

/** Returns a connection to a server that calls itself so. */
function connectedTo(version: string | undefined): NatsConnection {
  return { info: version === undefined ? undefined : { version } } as NatsConnection;
}

test("jobs are handed out by a server that compares claims of several nodes, and by no older one", () => {
  for (const version of ["2.11.0", "2.15.1", "2.12.0-RC.1", "3.0.0"])
    expect(lacksDispatch(connectedTo(version))).toBeUndefined();
  for (const version of ["2.9.10", "2.10.27"])
    expect(lacksDispatch(connectedTo(version))).toBe(
      `the hub is nats-server ${version}, which can show nodes and results; handing out jobs needs 2.11`,
    );
  expect(lacksDispatch(connectedTo(undefined))).toContain("of an unknown version");
});
