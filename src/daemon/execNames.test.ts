import { expect, test } from "bun:test";
import { ExecNames } from "./execNames.ts";

test("names of governed processes are added to those of the policy, each once", () => {
  const names = new ExecNames();
  names.setPolicyNames(["ffmpeg"]);
  expect(names.learn("ffmpeg")).toBe(false);
  expect(names.learn(".ffmpeg-wrapped")).toBe(true);
  expect(names.learn(".ffmpeg-wrapped")).toBe(false);
  expect(names.list()).toEqual(["ffmpeg", ".ffmpeg-wrapped"]);
  names.setPolicyNames(["x264"]);
  expect(names.list()).toEqual(["x264", ".ffmpeg-wrapped"]);
});

test("a name of the policy that the kernel cuts is not learned, also where it cuts a character", () => {
  const names = new ExecNames();
  names.setPolicyNames(["a-very-long-encoder", "a-name-of-14-b\u00e9-x"]);
  expect([names.learn("a-very-long-enc"), names.learn("a-name-of-14-b\ufffd")]).toEqual([false, false]);
});

test("nothing is learned while any name can match", () => {
  const names = new ExecNames();
  expect(names.learn("sh")).toBe(false);
  expect(names.list()).toBeUndefined();
});

test("the names that were learned first are forgotten when there are too many", () => {
  const names = new ExecNames();
  names.setPolicyNames([]);
  for (let index = 0; index < 70; index++) names.learn(`name-${index}`);
  expect(names.list()).toHaveLength(64);
  expect(names.list()).not.toContain("name-5");
  expect(names.list()).toContain("name-6");
});
