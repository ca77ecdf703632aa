import { expect, test } from "bun:test";
import { FileMaps } from "./probe.ts";

/** Files that cannot be opened, with the keys of those for which it was tried. */
function start() {
  const opened: string[] = [];
  const clock = { nowMs: 0 };
  const maps = new FileMaps(() => clock.nowMs);
  const ask = async (key: string, descriptor?: number) => {
    const open = async () => {
      opened.push(key);
      return descriptor;
    };
    maps.get({ key, user: { uid: 0, gid: 0 }, open });
    await maps.settle();
  };
  return { opened, clock, ask };
}

test("a file is mapped once for as long as it is asked for, and forgotten after that", async () => {
  const { opened, clock, ask } = start();
  for (let minute = 0; minute < 20; minute++) {
    clock.nowMs = minute * 60_000;
    await ask("used");
    if (minute === 0) await ask("unused");
  }
  expect(opened).toEqual(["used", "unused"]);
  await ask("other");
  await ask("used");
  await ask("unused");
  expect(opened).toEqual(["used", "unused", "other", "unused"]);
});

test("a file whose owner cannot be read does not stop the mapping of others", async () => {
  const { opened, ask } = start();
  const NOT_OPEN = 2 ** 30;
  await ask("broken", NOT_OPEN);
  await ask("next");
  expect(opened).toEqual(["broken", "next"]);
});
