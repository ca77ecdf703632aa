import { expect, test } from "bun:test";
import { parseListenAddress, urlOf } from "./listenAddress.ts";

test("an address has a port, and only loopback addresses are of this machine alone", () => {
  const loopback = [
    "127.0.0.1:9797",
    "127.8.0.1:1",
    "localhost:9797",
    "[::1]:9797",
    "[0:0:0:0:0:0:0:1]:65535",
  ];
  expect(loopback.map((text) => parseListenAddress(text)?.isLoopback)).toEqual(loopback.map(() => true));
  const others = ["0.0.0.0:9797", "[::]:9797", "192.0.2.7:80", "[2001:db8::1]:80", "[::ffff:192.0.2.7]:80"];
  expect(others.map((text) => parseListenAddress(text)?.isLoopback)).toEqual(others.map(() => false));
});

test("names, missing ports and other texts are refused", () => {
  const faults = [
    "",
    ":9797",
    "9797",
    "127.0.0.1",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "::1:9797",
    "[127.0.0.1]:1",
  ];
  for (const text of [
    ...faults,
    "example.org:9797",
    "127.0.0.1:97x",
    "127.1:9797",
    "127.0.0.1:9797/",
    "[::1]",
  ])
    expect({ text, parsed: parseListenAddress(text) }).toEqual({ text, parsed: undefined });
});

test("the URL of an IPv6 address has brackets", () => {
  const parsed = parseListenAddress("[::1]:9797");
  expect(parsed && urlOf(parsed, false)).toBe("http://[::1]:9797");
  expect(parsed && urlOf(parsed, true)).toBe("https://[::1]:9797");
});
