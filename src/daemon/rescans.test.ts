import { afterEach, expect, test } from "bun:test";
import { Rescans } from "./rescans.ts";

let rescans: Rescans | undefined;
afterEach(() => rescans?.stop());

function play(pids: number[], consider: (pid: number) => boolean = () => false) {
  const scans: number[][] = [];
  const found: number[] = [];
  const { promise: second, resolve } = Promise.withResolvers<void>();
  let done = 0;
  rescans = new Rescans({
    listPids: () => {
      scans.push([]);
      return [...pids];
    },
    async consider(pid) {
      scans.at(-1)?.push(pid);
      return consider(pid);
    },
    onFound: (pid) => found.push(pid),
    onDone: () => {
      if (++done === 2) resolve();
    },
  });
  return { rescans, scans, found, second };
}

const MANY = Array.from({ length: 100 }, (_, index) => index + 1);

test("the first scan runs at once, newest pids first, and reports what it found", async () => {
  const { rescans, scans, found } = play([1, 20, 300], (pid) => pid === 20);
  rescans.request();
  expect(scans).toEqual([[300, 20, 1]]);
  await Bun.sleep(0);
  expect(found).toEqual([20]);
});

test("any number of requests after a scan lead to one further scan, which is not at once", async () => {
  const { rescans, scans, second } = play([7]);
  for (let requests = 0; requests < 100; requests++) rescans.request();
  expect(scans).toHaveLength(1);
  await second;
  expect(scans).toHaveLength(2);
});

test("a scan lets other work run, and a request meanwhile leads to a scan of its own", async () => {
  const { rescans, scans, second } = play(MANY);
  rescans.request();
  expect(scans[0]?.length).toBeLessThan(MANY.length);
  rescans.request();
  await second;
  expect(scans).toEqual([MANY.toReversed(), MANY.toReversed()]);
});

test("a stopped scan considers nothing more", async () => {
  const { rescans, scans } = play(MANY);
  rescans.request();
  const considered = scans[0]?.length;
  rescans.stop();
  await Bun.sleep(20);
  expect(scans[0]?.length).toBe(considered as number);
});
