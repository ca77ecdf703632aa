import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSigningKey } from "../keys/signingKey.ts";
import { FleetDirectory, locateFleet, unknownNode } from "./fleetDirectory.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

test("the operator's files are where the option, the variable or the XDG directory says, in this order", () => {
  const env = { FFRTMP_FLEET: "/fleet", XDG_CONFIG_HOME: "/xdg" };
  expect(locateFleet("/named", env)).toBe("/named");
  expect(locateFleet(undefined, env)).toBe("/fleet");
  expect(locateFleet(undefined, { ...env, FFRTMP_FLEET: "" })).toBe("/xdg/ffrtmp/fleet");
  expect(locateFleet(undefined, {})).toEndWith("/.config/ffrtmp/fleet");
});

test("a fleet that this release did not write is refused, and a change of it writes nothing", () => {
  const fleet = new FleetDirectory(join(directory, "later"));
  expect(() => fleet.addNode("edge-1")).toThrow("there is no fleet in");
  expect(existsSync(fleet.path)).toBe(false);
  writeFileSync(join(directory, "fleet.json"), '{"v": 2}');
  const later = new FleetDirectory(directory);
  expect(() => later.removeNode("edge-1")).toThrow("it was not written by this release");
});

test("each of several changes at once is confirmed by its own user, also when the hub has read a later version", () => {
  const fleet = new FleetDirectory(join(directory, "many"));
  fleet.create([{ host: "hub.example", port: 4222 }]);
  const probes = Array.from({ length: 5 }, (_, index) => fleet.addNode(`edge-${index}`).probe);
  const users = readFileSync(join(fleet.hub, "users.conf"), "utf8");
  for (const { publicKey } of probes) expect(users).toContain(publicKey);
  // They do not pile up.
  for (let index = 0; index < 20; index++) fleet.addNode("edge-0", { isRenewed: true });
  expect(fleet.read().probes).toHaveLength(16);
});

test("a node that the fleet does not have is not removed, whatever its name", () => {
  const fleet = new FleetDirectory(join(directory, "named"));
  fleet.create([{ host: "hub.example", port: 4222 }]);
  for (const name of ["constructor", "toString", "edge-1"])
    expect(() => fleet.removeNode(name)).toThrow(`the fleet has no node ${name}`);
  fleet.addNode("constructor");
  expect(Object.keys(fleet.read().nodes)).toEqual(["constructor"]);
  fleet.removeNode("constructor");
  expect(fleet.read().nodes).toEqual({});
});

test("of a thousand nodes, a message names the first", () => {
  const names = Array.from({ length: 1000 }, (_, index) => `edge-${index}`);
  expect(unknownNode("x", names).hint).toMatch(
    /^its nodes are: edge-0, .*edge-19, and 980 more: ffrtmp fleet ps$/,
  );
  expect(unknownNode("x", ["edge-1"]).hint).toBe("its nodes are: edge-1");
});

test("the key of the other purpose signs nothing, and a key of its own does", () => {
  const fleet = new FleetDirectory(join(directory, "keys"));
  fleet.create([{ host: "hub.example", port: 4222 }]);
  const { seed, publicKey } = createSigningKey();
  const own = join(directory, "own.nk");
  writeFileSync(own, seed, { mode: 0o600 });
  expect(fleet.signingKey("jobs", own).publicKey).toBe(publicKey);
  expect(() => fleet.signingKey("jobs", join(fleet.path, "policy.nk"))).toThrow(
    "the key that signs policies",
  );
  expect(() => fleet.signingKey("policy", join(fleet.path, "jobs.nk"))).toThrow("the key that signs jobs");
});
