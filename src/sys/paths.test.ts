import { expect, it } from "bun:test";
import { basename, resolve } from "node:path";
import fc from "fast-check";
import { lastName, resolvePath } from "./paths.ts";

const path = fc
  .array(fc.constantFrom("/", "a", "b.c", ".", "..", "", "//"), { maxLength: 8 })
  .map((parts) => parts.join(""));

it("resolves paths as node:path does", () => {
  fc.assert(
    fc.property(path, fc.array(path, { maxLength: 3 }), (directory, parts) => {
      expect(resolvePath(`/${directory}`, ...parts)).toBe(resolve(`/${directory}`, ...parts));
    }),
  );
});

it("returns the last name of a path as node:path does", () => {
  fc.assert(fc.property(path, (each) => expect(lastName(each)).toBe(basename(each))));
});
