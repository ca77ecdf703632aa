import { expect, test } from "bun:test";
import { closeFd } from "./descriptor.ts";
import {
  addToEpoll,
  createEpoll,
  createEventfd,
  epollWaiter,
  removeFromEpoll,
  signalEventfd,
} from "./epoll.ts";

test("a readable descriptor is reported under its key until it is removed", () => {
  const epoll = createEpoll();
  const [first, second] = [createEventfd(), createEventfd()];
  try {
    expect(addToEpoll(epoll, first, "level", 2 ** 40 + 1)).toBe(0);
    expect(addToEpoll(epoll, second, "level", -2)).toBe(0);
    const waiter = epollWaiter(epoll, 8);
    expect(waiter.wait(0)).toBe(0);
    expect(signalEventfd(second)).toBe(8);
    expect([waiter.wait(0), waiter.keyAt(0)]).toEqual([1, -2]);
    signalEventfd(first);
    expect(waiter.wait(0)).toBe(2);
    expect([waiter.keyAt(0), waiter.keyAt(1)].sort()).toEqual([-2, 2 ** 40 + 1]);
    expect(removeFromEpoll(epoll, second)).toBe(0);
    expect([waiter.wait(0), waiter.keyAt(0)]).toEqual([1, 2 ** 40 + 1]);
  } finally {
    for (const fd of [first, second, epoll]) closeFd(fd);
  }
});

test("a call that epoll refuses returns a negative errno", () => {
  const epoll = createEpoll();
  try {
    expect(addToEpoll(epoll, -1, "level", 1)).toBe(-9);
    expect(removeFromEpoll(epoll, epoll)).toBe(-22);
    expect(epollWaiter(-1, 1).wait(0)).toBe(-9);
  } finally {
    closeFd(epoll);
  }
});
