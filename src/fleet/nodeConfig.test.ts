import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { agentDirectory, type NodeConfigFile, readNodeConfig } from "./nodeConfig.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
const file = join(directory, "node.yaml");
afterAll(() => rmSync(directory, { recursive: true }));

const EXAMPLE: NodeConfigFile = {
  v: 1,
  node: "edge-17",
  hub: ["tls://hub.example:4222", "tls://[2001:db8::1]:4222"],
  nkey_file: "node.nk",
  ca_file: "/srv/ca.pem",
  labels: { site: "ber" },
  pools: ["live"],
};

function readWith(change: object) {
  writeFileSync(file, stringify({ ...EXAMPLE, ...change }));
  return readNodeConfig(file);
}

test("a node's configuration is read with the paths of its files beside it", () => {
  expect(readWith({})).toEqual({
    v: 1,
    node: "edge-17",
    hub: ["tls://hub.example:4222", "tls://[2001:db8::1]:4222"],
    nkeyFile: join(directory, "node.nk"),
    caFile: "/srv/ca.pem",
    labels: { site: "ber" },
    pools: ["live"],
    ring: "stable",
    directory,
    stateDirectory: "/var/lib/ffrtmp-fleet",
  });
  expect(readWith({ ring: "canary", directory: "/srv/fleet", state_dir: "agent" })).toMatchObject({
    ring: "canary",
    directory: "/srv/fleet",
    // The agent can read a copy of the file elsewhere.
    stateDirectory: "/srv/fleet/agent",
  });
  expect(readWith({ labels: undefined, pools: undefined, ca_file: undefined })).toMatchObject({
    labels: {},
    pools: [],
    caFile: undefined,
  });
});

test("a node's name is one token of a subject", () => {
  for (const node of ["a.b", "*", ">", "a b", "", "-a", "a".repeat(64)])
    expect(() => readWith({ node })).toThrow(
      `${file} is no fleet configuration: line 2, node: expected 1 to 63`,
    );
});

test("a connection without encryption stays on the machine", () => {
  for (const hub of ["nats://127.0.0.1:4222", "nats://localhost:4222", "nats://[::1]:1"])
    expect(readWith({ hub: [hub] }).hub).toEqual([hub]);
  for (const hub of [
    "nats://hub.example:4222",
    "nats://10.0.0.1:4222",
    "tls://a",
    "tls://u:p@a:1",
    "tls://a:70000",
    7,
  ])
    expect(() => readWith({ hub: [hub] })).toThrow("hub.0: ");
  expect(() => readWith({ hub: [] })).toThrow("hub: ");
});

test("each fault of a configuration is named with its key", () => {
  expect(() => readWith({ v: 2, poool: ["live"], labels: { site: "a\nb" } })).toThrow(
    /line 1, v: .*labels\.site: .*line \d+, poool: this key is unknown/,
  );
  writeFileSync(file, "v: 1\nnode: [");
  expect(() => readNodeConfig(file)).toThrow(`${file}, line 2 is not YAML`);
  expect(() => readNodeConfig(`${file}.none`)).toThrow("no such file");
});

test("the directory of the agent is the configured one, and an option does not name another", () => {
  const configured = { stateDirectory: "/srv/agent" };
  expect(agentDirectory(configured, undefined)).toBe("/srv/agent");
  expect(agentDirectory(configured, "/srv/agent/")).toBe("/srv/agent");
  expect(() => agentDirectory(configured, "/srv/other")).toThrow(
    "is not the state_dir of this node's configuration",
  );
  for (const usual of [undefined, { stateDirectory: "/var/lib/ffrtmp-fleet" }]) {
    expect(agentDirectory(usual, undefined)).toBe("/var/lib/ffrtmp-fleet");
    expect(agentDirectory(usual, "/srv/other")).toBe("/srv/other");
  }
});
