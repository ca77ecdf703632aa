import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNatsServer, isAtLeast, serverEnvironment } from "./natsServer.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** Returns the path of a program that prints what `nats-server --version` would. */
function printing(text: string): string {
  const path = join(directory, `server-${Bun.hash(text)}`);
  writeFileSync(path, `#!/bin/sh\necho '${text}'\n`, { mode: 0o755 });
  return path;
}

test("a server of 2.10 or later is found, with its version", () => {
  const path = printing("nats-server: v2.10.27");
  expect(findNatsServer(path)).toEqual({ path, version: "2.10.27" });
  expect(findNatsServer(printing("nats-server: v2.15.1-RC.1")).version).toBe("2.15.1-RC.1");
  expect(findNatsServer(printing("nats-server: v3.0.0")).version).toBe("3.0.0");
});

test("an older server, another program and a missing one are refused with a way out", () => {
  expect(() => findNatsServer(printing("nats-server: v2.9.10"))).toThrow(
    "nats-server 2.9.10, which is too old",
  );
  expect(() => findNatsServer(printing("nginx version: nginx/1.26"))).toThrow("it prints no version");
  expect(() => findNatsServer(join(directory, "none"))).toThrow("it prints no version");
});

test("versions are compared as numbers", () => {
  expect(isAtLeast("2.9.10", [2, 11])).toBe(false);
  expect(isAtLeast("2.11.0", [2, 11])).toBe(true);
  expect(isAtLeast("2.100.0", [2, 11])).toBe(true);
});

test("the server collects its garbage sooner than by default, unless the operator has chosen", () => {
  expect(serverEnvironment({ PATH: "/bin" })).toEqual({
    PATH: "/bin",
    GOGC: "20",
    GODEBUG: "gcshrinkstackoff=1",
  });
  expect(serverEnvironment({ GOGC: "off", GODEBUG: "" })).toEqual({ GOGC: "off", GODEBUG: "" });
});
