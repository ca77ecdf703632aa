import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lacksRoot, testIf } from "../../../test/support/sandbox.ts";
import { FleetDirectory, locateFleet, writePrivate } from "./fleetDirectory.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

test("the operator's files are where the option, the variable or the XDG directory says, in this order", () => {
  const env = { FFRTMP_FLEET: "/fleet", XDG_CONFIG_HOME: "/xdg" };
  expect(locateFleet("/named", env)).toBe("/named");
  expect(locateFleet(undefined, env)).toBe("/fleet");
  expect(locateFleet(undefined, { ...env, FFRTMP_FLEET: "" })).toBe("/xdg/ffrtmp/fleet");
  expect(locateFleet(undefined, {})).toEndWith("/.config/ffrtmp/fleet");
});

test("a key is written for its owner alone, also over a file that others could read", () => {
  const path = join(directory, "key");
  writeFileSync(path, "old", { mode: 0o644 });
  writePrivate(path, "new");
  expect([readFileSync(path, "utf8"), statSync(path).mode & 0o777]).toEqual(["new", 0o600]);
  expect(existsSync(`${path}.new`)).toBe(false);
});

testIf(lacksRoot())("a key for a group can be read by this group too", () => {
  const path = join(directory, "shared");
  writePrivate(path, "x", { gid: 12_345 });
  const { mode, gid } = statSync(path);
  expect([mode & 0o777, gid]).toEqual([0o640, 12_345]);
});

test("a fleet that this release did not write is refused, and a change of it writes nothing", () => {
  const fleet = new FleetDirectory(join(directory, "later"));
  expect(() => fleet.addNode("edge-1", false)).toThrow("there is no fleet in");
  expect(existsSync(fleet.path)).toBe(false);
  writeFileSync(join(directory, "fleet.json"), '{"v": 2}');
  const later = new FleetDirectory(directory);
  expect(() => later.removeNode("edge-1")).toThrow("it was not written by this release");
});
