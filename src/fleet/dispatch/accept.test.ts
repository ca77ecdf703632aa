import { afterAll, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { createSigningKey } from "../keys/signingKey.ts";
import { type AcceptFile, readAcceptance } from "./accept.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
const file = join(directory, "accept.yaml");
afterAll(() => rmSync(directory, { recursive: true }));

const { publicKey } = createSigningKey();
const EXAMPLE: AcceptFile = { v: 1, pools: ["live"], slots: 4, as: "transcode", trusted: [publicKey] };

const TRANSCODE = { name: "transcode", uid: 990, gid: 990, groups: [990], home: "/", shell: "/bin/sh" };
const find = (name: string) => ({ transcode: TRANSCODE, toor: { ...TRANSCODE, name: "toor", uid: 0 } })[name];

function readWith(change: object) {
  writeFileSync(file, stringify({ ...EXAMPLE, ...change }), { mode: 0o644 });
  return readAcceptance(file, find);
}

test("what a machine takes is read, and a machine without the file takes nothing", () => {
  const read = { pools: ["live"], slots: 4, as: "transcode", trusted: new Set([publicKey]) };
  expect(readWith({})).toEqual({ ...read, signedTemplates: false });
  expect(readWith({ signed_templates: true })).toEqual({ ...read, signedTemplates: true });
  expect(readAcceptance(join(directory, "none.yaml"))).toBeUndefined();
});

test.each([
  ["v", 2, 'accept.yaml:1:4: v: "2" is not valid (expected: 1)'],
  ["pools", [], "pools: "],
  ["pools", ["a.b"], 'pools[0]: "a.b" is not the name of a pool'],
  ["pools", ["*"], "pools[0]: "],
  ["slots", 0, "accept.yaml:4:8: slots: "],
  ["slots", 1.5, "slots: "],
  ["slots", 1001, "slots: "],
  ["slots", "4", "slots: "],
  ["as", "root", 'as: "root" may do anything on this machine'],
  ["as", "", "as: "],
  ["as", "-x", "as: "],
  ["as", "a:b", "as: "],
  ["as", 1000, "as: "],
  ["as", "toor", "no job of the fleet runs as toor, which has uid 0 and all rights"],
  ["as", "gone", "there is no user gone in /etc/passwd"],
  ["trusted", [], "trusted: "],
  ["trusted", [publicKey.slice(0, -1)], "trusted[0]: "],
  ["trusted", [createSigningKey().seed], "trusted[0]: "],
  ["signed_templates", "yes", "signed_templates: "],
  ["pool", "live", 'pool: "pool" is not a known key (expected: pools)'],
])("%s: %p is refused with its place", (key, value, text) => {
  expect(() => readWith({ [key]: value })).toThrow(text);
});

test("a key that is missing, text that is no YAML and an empty file are refused, and never read as an empty list", () => {
  for (const key of ["v", "pools", "slots", "as", "trusted"])
    expect(() => readWith({ [key]: undefined })).toThrow(`${key}: is missing`);
  for (const text of ["", "{}", "[", "v: 1\nv: 1", "null", "- a"]) {
    writeFileSync(file, text);
    expect(() => readAcceptance(file)).toThrow("cannot be used: ");
  }
});

test.skipIf(process.geteuid?.() !== 0)("a file that a user other than root can change is not used", () => {
  readWith({});
  for (const mode of [0o664, 0o666, 0o646]) {
    chmodSync(file, mode);
    if (mode === 0o664) chownSync(file, 0, 1000);
    expect(() => readAcceptance(file)).toThrow("is not used: ");
  }
  chownSync(file, 1000, 0);
  chmodSync(file, 0o644);
  expect(() => readAcceptance(file)).toThrow("belongs to uid 1000");
  const open = join(directory, "open");
  mkdirSync(open, { mode: 0o777 });
  chmodSync(open, 0o777);
  writeFileSync(join(open, "accept.yaml"), stringify(EXAMPLE));
  expect(() => readAcceptance(join(open, "accept.yaml"))).toThrow("can be changed by other users");
  rmSync(file);
});
