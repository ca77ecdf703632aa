import { afterEach, expect, test } from "bun:test";
import { ConnectionLimit } from "./connectionLimit.ts";

// `others` are the descriptors of jobs.
let others = 0;
let connected = 0;
let counted = 0;
const reports: number[] = [];
let limit: ConnectionLimit | undefined;

afterEach(() => {
  limit?.stop();
  reports.length = 0;
});

function start(fileLimit = 65_536): ConnectionLimit {
  [others, connected, counted] = [20, 0, 0];
  const descriptors = {
    limit: fileLimit,
    countOpen: () => others + connected,
    connections() {
      counted++;
      return Array.from({ length: connected }, (_, index) => index);
    },
    end: () => void connected--,
  };
  limit = new ConnectionLimit(descriptors, (count) => reports.push(count));
  return limit;
}

test("256 connections stay, and one more ends all, which is reported once a minute", () => {
  const started = start();
  connected = 256;
  expect([started.check(), connected]).toEqual([false, 256]);
  connected = 257;
  expect([started.check(), connected, reports]).toEqual([true, 0, [257]]);
  connected = 300;
  expect([started.check(), connected, reports]).toEqual([true, 0, [257]]);
});

test("the descriptors of jobs are no connections, and are not listed again each time", () => {
  const started = start();
  others = 5000;
  expect([started.check(), counted]).toEqual([false, 1]);
  connected = 200;
  expect([started.check(), started.check(), counted]).toEqual([false, false, 1]);
  connected = 257;
  expect([started.check(), connected]).toEqual([true, 0]);
});

test("connections that take the place of a job's descriptors are counted", () => {
  const started = start();
  others = 5000;
  started.check();
  others = 20;
  started.check();
  connected = 400;
  expect([started.check(), connected]).toEqual([true, 0]);
});

test("connections take at most a quarter of a small limit", () => {
  const started = start(200);
  connected = 50;
  expect([started.check(), connected]).toEqual([false, 50]);
  connected = 51;
  expect([started.check(), connected]).toEqual([true, 0]);
});
