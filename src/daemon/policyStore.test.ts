import { afterEach, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../../test/support/sandbox.ts";
import { policyFromFlags } from "../policy/policy.ts";
import { directoriesOnTheWay, type PolicyReading, PolicyStore } from "./policyStore.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
const stores: PolicyStore[] = [];
afterEach(() => {
  for (const store of stores.splice(0)) store.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** A policy whose only target is the file's content; "bad" is not valid. */
function openStore(path: string): { store: PolicyStore; targets(): string[]; changes: () => number } {
  const load = (): PolicyReading => {
    const text = readFileSync(path, "utf8").trim();
    return text === "bad" ? { faults: ["bad"] } : { policy: policyFromFlags([text], {}), warnings: [] };
  };
  const first = load();
  if ("faults" in first) throw new Error("the first policy of a test is valid");
  const store = new PolicyStore(first.policy, path, load);
  stores.push(store);
  let changes = 0;
  store.watch(() => {
    changes++;
    store.reload();
  });
  return { store, targets: () => store.policy.targets.map(({ text }) => text), changes: () => changes };
}

function file(name: string, text: string): string {
  const path = join(directory, name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(path, text);
  return path;
}

test("a file that is written to is read again", async () => {
  const path = file("policy.yaml", "one");
  const { targets } = openStore(path);
  writeFileSync(path, "two");
  await until("the change is reported", () => targets()[0] === "two");
});

test("a file that another file is renamed over is read again, and so is the next", async () => {
  const path = file("policy.yaml", "one");
  const { targets } = openStore(path);
  for (const text of ["two", "three"]) {
    renameSync(file("new", text), path);
    await until("the change is reported", () => targets()[0] === text);
  }
});

test("a link that is replaced is followed, wherever it is on the path", async () => {
  for (const name of ["a", "b"]) {
    mkdirSync(join(directory, name), { recursive: true });
    file(`${name}/policy.yaml`, name);
  }
  symlinkSync("a", join(directory, "data"));
  symlinkSync("data/policy.yaml", join(directory, "policy.yaml"));
  const { targets } = openStore(join(directory, "policy.yaml"));
  expect(targets()).toEqual(["a"]);
  symlinkSync("b", join(directory, "data-new"));
  renameSync(join(directory, "data-new"), join(directory, "data"));
  await until("the swap is reported", () => targets()[0] === "b");
  file("b/policy.yaml", "c");
  await until("the file behind it is watched from then on", () => targets()[0] === "c");
});

test("a file with errors leaves the policy in force, and its faults are kept until it is valid again", async () => {
  const path = file("policy.yaml", "one");
  const { store, targets } = openStore(path);
  writeFileSync(path, "bad");
  await until("the change is reported", () => store.faults.length > 0);
  expect(targets()).toEqual(["one"]);
  expect(store.hasChanged()).toBeFalse();
  writeFileSync(path, "two");
  await until("the change is reported", () => store.faults.length === 0);
  expect(targets()).toEqual(["two"]);
});

test("a change of another file in the directory is no change", async () => {
  const path = file("policy.yaml", "one");
  const { changes } = openStore(path);
  file("other", "x");
  writeFileSync(path, "two");
  await until("the change is reported", () => changes() > 0);
  expect(changes()).toBe(1);
});

test("without inotify, hasChanged finds the change", () => {
  const path = file("policy.yaml", "one");
  const { store } = openStore(path);
  store.stop();
  expect(store.hasChanged()).toBeFalse();
  renameSync(file("new", "two"), path);
  expect(store.hasChanged()).toBeTrue();
  expect(store.reload()?.targets[0]?.text).toBe("one");
  expect(store.hasChanged()).toBeFalse();
});

test("links in a circle end the walk", () => {
  mkdirSync(directory, { recursive: true });
  symlinkSync("b", join(directory, "a"));
  symlinkSync("a", join(directory, "b"));
  expect([...directoriesOnTheWay(join(directory, "a"))]).toContain(directory);
});

test("a further file is read again only where it would give another policy, however often it is written", () => {
  const [own, further] = [file("policy.yaml", "own"), file("placed", "1")];
  const load = (): PolicyReading => ({
    policy: policyFromFlags([readPlaced(further)], {}),
    warnings: [],
    path: further,
    fingerprint: readPlaced(further),
  });
  const store = PolicyStore.open(own, load, { files: [further], fingerprint: () => readPlaced(further) });
  if (!(store instanceof PolicyStore)) throw new Error("the policy of this test is valid");
  stores.push(store);
  expect([store.path, store.hasChanged()]).toEqual([further, false]);
  for (let writes = 0; writes < 3; writes++) {
    // Another file each time, with the same meaning.
    renameSync(file("draft", `1 # ${writes}`), further);
    expect(store.hasChanged()).toBe(false);
  }
  renameSync(file("draft", "2"), further);
  expect(store.hasChanged()).toBe(true);
  store.reload();
  expect([store.hasChanged(), store.policy.targets[0]?.text]).toEqual([false, "2"]);
});

test("a further file alone, without a policy file, is followed", async () => {
  const further = file("placed", "1");
  const load = (): PolicyReading => ({
    policy: policyFromFlags([readPlaced(further)], {}),
    warnings: [],
    fingerprint: readPlaced(further),
  });
  const store = PolicyStore.open(undefined, load, {
    files: [further],
    fingerprint: () => readPlaced(further),
  });
  if (!(store instanceof PolicyStore)) throw new Error("the policy of this test is valid");
  stores.push(store);
  store.watch(() => store.reload());
  renameSync(file("draft", "2"), further);
  await until("the change is reported", () => store.policy.targets[0]?.text === "2");
});

test("a file that changes while it is read is read again", () => {
  const [own, further] = [file("policy.yaml", "own"), file("placed", "1")];
  let during = (): void => {};
  const load = (): PolicyReading => {
    const text = readPlaced(further);
    during();
    return { policy: policyFromFlags([text], {}), warnings: [], fingerprint: text };
  };
  during = () => renameSync(file("draft", "2"), further);
  const store = PolicyStore.open(own, load, { files: [further], fingerprint: () => readPlaced(further) });
  if (!(store instanceof PolicyStore)) throw new Error("the policy of this test is valid");
  stores.push(store);
  expect(store.hasChanged()).toBe(true);
  during = () => renameSync(file("draft", "3"), further);
  store.reload();
  expect([store.policy.targets[0]?.text, store.hasChanged()]).toEqual(["2", true]);
  during = () => {};
  store.reload();
  expect([store.policy.targets[0]?.text, store.hasChanged()]).toEqual(["3", false]);
});

/** Returns the content of a file without its comment. */
function readPlaced(path: string): string {
  return readFileSync(path, "utf8").replace(/#.*/, "").trim();
}
