import { afterEach, expect, test } from "bun:test";
import { PostponedWork } from "./postponedWork.ts";

let postponed: PostponedWork | undefined;
afterEach(() => postponed?.stop());

function errorOf(code: string): Error {
  return Object.assign(new Error(code), { code });
}

test("work is done at once while there are descriptors", () => {
  postponed = new PostponedWork({ retry: () => {}, report: () => {}, findShortage: () => undefined });
  expect(postponed.attempt(() => 7)).toBe(7);
  expect(postponed.count).toBe(0);
});

test("without descriptors no work starts; it is counted, reported once and retried", async () => {
  const reports: string[] = [];
  let shortage: string | undefined = "EMFILE";
  const { promise: retried, resolve: retry } = Promise.withResolvers<void>();
  postponed = new PostponedWork({
    retry,
    report: (reason) => reports.push(reason),
    findShortage: () => shortage,
  });
  for (const _ of [1, 2, 3]) {
    expect(
      postponed.attempt(() => {
        throw new Error("started");
      }),
    ).toBeUndefined();
  }
  expect(postponed.count).toBe(3);
  expect(reports).toEqual(["EMFILE"]);
  await retried;
  shortage = undefined;
  expect(postponed.attempt(() => "done")).toBe("done");
});

test("work that meets the limit is postponed, and every other error is thrown", async () => {
  const reports: string[] = [];
  postponed = new PostponedWork({ retry: () => {}, report: (reason) => reports.push(reason) });
  const failing = (code: string) => () => {
    throw errorOf(code);
  };
  expect(postponed.attempt(failing("ENFILE"))).toBeUndefined();
  expect(postponed.attempt(failing("EMFILE"))).toBeUndefined();
  expect(postponed.count).toBe(2);
  expect(reports).toEqual(["ENFILE"]);
  expect(() => postponed?.attempt(failing("EACCES"))).toThrow("EACCES");
  const failingLater = (code: string) => async () => {
    await Bun.sleep(0);
    throw errorOf(code);
  };
  expect(await postponed.attemptAsync(failingLater("EMFILE"))).toBeUndefined();
  expect(postponed.count).toBe(3);
  expect(postponed.attemptAsync(failingLater("EACCES"))).rejects.toThrow("EACCES");
});
