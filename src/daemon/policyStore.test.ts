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
import { policyFromFlags } from "../policy/policyFromFlags.ts";
import { directoriesOnTheWay, type PolicyReading, PolicyStore } from "./policyStore.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
const keepers: PolicyStore[] = [];
afterEach(() => {
  for (const store of keepers.splice(0)) store.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** A policy whose only target is the file's content; "bad" is not valid. */
function keep(path: string): { store: PolicyStore; targets(): string[]; changes: () => number } {
  const load = (): PolicyReading => {
    const text = readFileSync(path, "utf8").trim();
    return text === "bad" ? { faults: ["bad"] } : { policy: policyFromFlags([text], {}), warnings: [] };
  };
  const first = load();
  if ("faults" in first) throw new Error("the first policy of a test is valid");
  const store = new PolicyStore(first.policy, path, load);
  keepers.push(store);
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

test("a file that is written to is read anew", async () => {
  const path = file("policy.yaml", "one");
  const { targets } = keep(path);
  writeFileSync(path, "two");
  await until("the change is told", () => targets()[0] === "two");
});

test("a file that another one is renamed over is read anew, and so is the next", async () => {
  const path = file("policy.yaml", "one");
  const { targets } = keep(path);
  for (const text of ["two", "three"]) {
    renameSync(file("new", text), path);
    await until("the change is told", () => targets()[0] === text);
  }
});

test("a link that is swapped is followed, wherever on the way it lies", async () => {
  for (const name of ["a", "b"]) {
    mkdirSync(join(directory, name), { recursive: true });
    file(`${name}/policy.yaml`, name);
  }
  symlinkSync("a", join(directory, "data"));
  symlinkSync("data/policy.yaml", join(directory, "policy.yaml"));
  const { targets } = keep(join(directory, "policy.yaml"));
  expect(targets()).toEqual(["a"]);
  symlinkSync("b", join(directory, "data-new"));
  renameSync(join(directory, "data-new"), join(directory, "data"));
  await until("the swap is told", () => targets()[0] === "b");
  file("b/policy.yaml", "c");
  await until("the file behind it is watched from then on", () => targets()[0] === "c");
});

test("one that is not valid leaves the policy in force, and says so until it is valid again", async () => {
  const path = file("policy.yaml", "one");
  const { store, targets } = keep(path);
  writeFileSync(path, "bad");
  await until("the change is told", () => store.faults.length > 0);
  expect(targets()).toEqual(["one"]);
  expect(store.hasChanged()).toBeFalse();
  writeFileSync(path, "two");
  await until("the change is told", () => store.faults.length === 0);
  expect(targets()).toEqual(["two"]);
});

test("what else happens beside the file is no change", async () => {
  const path = file("policy.yaml", "one");
  const { changes } = keep(path);
  file("other", "x");
  writeFileSync(path, "two");
  await until("the change is told", () => changes() > 0);
  expect(changes()).toBe(1);
});

test("without inotify a look finds the change", () => {
  const path = file("policy.yaml", "one");
  const { store } = keep(path);
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
