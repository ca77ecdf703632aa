import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSigningKey } from "../keys/signingKey.ts";
import { signDocument } from "../messages/signed.ts";
import { keepSignedTemplate } from "./keptTemplate.ts";
import { SignedTemplates } from "./signedTemplates.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
afterAll(() => rmSync(directory, { recursive: true }));
const serials = join(directory, "serials");
const key = createSigningKey();
const trusted = new Set([key.publicKey]);
const BODY = {
  v: 1,
  name: "hls",
  serial: 2,
  yaml: "command: [ffmpeg, -version]",
  by: "anna",
  at: "2026-11-28T11:00:00.000Z",
};

function read(change: object, { signer = key, kind = "template" as const, name = "hls" } = {}) {
  keepSignedTemplate(directory, name, JSON.stringify(signDocument(kind, { ...BODY, ...change }, signer)));
  return new SignedTemplates(directory, serials).read(name, trusted)?.command.length;
}

test("a template that a trusted key has signed is used, and no earlier one after it", () => {
  expect(read({})).toBe(2);
  expect(read({ serial: 3, yaml: "command: [ffmpeg]" })).toBe(1);
  expect(() => read({})).toThrow("serial 2, is older than one that was used here, serial 3");
  expect(read({ serial: 3, yaml: "command: [ffmpeg]" })).toBe(1);
});

test("what the agent puts in the place of a document is never opened by a link, nor waited for", () => {
  keepSignedTemplate(
    directory,
    "real",
    JSON.stringify(signDocument("template", { ...BODY, name: "link" }, key)),
  );
  symlinkSync(join(directory, "real.json"), join(directory, "link.json"));
  mkdirSync(join(directory, "folder.json"));
  Bun.spawnSync(["mkfifo", join(directory, "fifo.json")]);
  writeFileSync(join(directory, "long.json"), "x".repeat(300_000));
  const templates = new SignedTemplates(directory, serials);
  for (const [name, fault] of [
    ["link", "is a link"],
    ["folder", "is not a regular file"],
    ["fifo", "is not a regular file"],
    ["long", "has more than"],
  ] as const)
    expect(() => templates.read(name, trusted)).toThrow(fault);
});

test("any other document is refused, and one of no such name is none", () => {
  expect(() => read({ serial: 9 }, { signer: createSigningKey() })).toThrow("is untrusted");
  expect(() => read({ serial: 9 }, { kind: "job" as "template" })).toThrow("it is a job, not a template");
  expect(() => read({ serial: 9, name: "other" })).toThrow("is signed as other");
  expect(() => read({ serial: 9, yaml: "command: [sh]" })).toThrow("is a shell");
  keepSignedTemplate(directory, "hls", "{");
  const templates = new SignedTemplates(directory, serials);
  expect(() => templates.read("hls", trusted)).toThrow("is unreadable");
  for (const name of ["none", "../serials", ""]) expect(templates.read(name, trusted)).toBeUndefined();
  // A faulty one has not raised the serial.
  expect(read({ serial: 4 })).toBe(2);
  writeFileSync(serials, "[");
  expect(() => read({ serial: 5 })).toThrow("it was not written by ffrtmp");
});
