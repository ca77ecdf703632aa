import { expect, test } from "bun:test";
import { Interruption } from "./interruption.ts";

test("an interruption ends the waits of its moment, and no later one", async () => {
  const interruption = new Interruption();
  const slept = interruption.sleep(1e6);
  const guarded = interruption.guard(new Promise(() => {}), () => new Error("interrupted"));
  const answer = guarded.catch((error: Error) => error.message);
  interruption.fire();
  await slept;
  expect(await answer).toBe("interrupted");
  expect(await interruption.guard(Promise.resolve("answer"), () => new Error("earlier"))).toBe("answer");
});

test("nothing of a wait that is over is kept", async () => {
  const interruption = new Interruption();
  await interruption.sleep(0);
  await interruption.guard(Promise.resolve(), () => new Error("unused"));
  await interruption.guard(Promise.reject(new Error("no answer")), () => new Error("unused")).catch(() => {});
  await Bun.sleep(0);
  expect(interruption.size).toBe(0);
});
