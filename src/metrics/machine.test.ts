import { expect, test } from "bun:test";
import { cpus, totalmem } from "node:os";
import { procTree } from "../../test/support/procTree.ts";
import { realHost } from "../linux/host.ts";
import { busyPercentBetween, readMachine, readMachinePressure } from "./machine.ts";

const STAT = (user: number, idle: number) =>
  `cpu  ${user} 10 20 ${idle} 30 1 2 3 5 5\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 1\n`;

test("the busy part is all time but idle and iowait, and guest time counts once", () => {
  using before = procTree({ stat: STAT(100, 1000) });
  using after = procTree({ stat: STAT(160, 1040) });
  const [first, second] = [readMachine(before.host), readMachine(after.host)];
  expect(first.cpuTicks).toEqual({ busy: 136, all: 1166 });
  expect(busyPercentBetween(first, second)).toBeCloseTo(60, 6);
  expect(busyPercentBetween(first, first)).toBeNull();
  expect(second.cpuCount).toBe(2);
});

test("memory and waiting come from their own files, and are unknown without them", () => {
  using full = procTree({
    meminfo: "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n",
    "pressure/cpu": "some avg10=12.50 avg60=3.00 avg300=0.00 total=123\n",
  });
  expect(readMachine(full.host)).toMatchObject({
    memoryTotalBytes: 1000 * 1024,
    memoryUsedBytes: 600 * 1024,
    cpuWaitPercent: 12.5,
    memoryWaitPercent: null,
    cpuTicks: null,
  });
});

test("this machine has the CPUs and the memory that the runtime reports", () => {
  const machine = readMachine(realHost());
  expect(machine.cpuCount).toBe(cpus().length);
  expect(machine.memoryTotalBytes).toBe(totalmem());
});

test("the pressure of the machine is that of the last 10 s, and unknown without its file", () => {
  using tree = procTree({
    "pressure/cpu": "some avg10=12.50 avg60=3.00 avg300=0.00 total=123\n",
    "pressure/io":
      "some avg10=7.00 avg60=3.00 avg300=0.00 total=123\nfull avg10=5.25 avg60=1.00 avg300=0.00 total=9\n",
  });
  expect(readMachinePressure(tree.host)).toEqual({
    cpuSomePercent: 12.5,
    memorySomePercent: null,
    memoryFullPercent: null,
    ioSomePercent: 7,
    ioFullPercent: 5.25,
  });
});
