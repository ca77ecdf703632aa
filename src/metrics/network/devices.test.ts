import { expect, test } from "bun:test";
import { parseDevices } from "./devices.ts";

const DEVICES = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9999999     100    0    0    0     0          0         0  9999999     100    0    0    0     0       0          0
  eth0:    1296      14    0    0    0     0          0         0      816       9    0    0    0     0       0          0
 wlan0: 1000000     900    0    0    0     0          0         0  2000000    1000    0    0    0     0       0          0
`;

test("the bytes of all devices but the loopback are added up", () => {
  expect(parseDevices(DEVICES)).toEqual({ received: 1_001_296, sent: 2_000_816 });
  expect(parseDevices("")).toEqual({ received: 0, sent: 0 });
});
