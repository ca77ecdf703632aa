import { expect, test } from "bun:test";
import { hubUrl, parseHubAddress, parseHubAddresses } from "./address.ts";

test.each([
  ["hub.example.net", "tls://hub.example.net:4222"],
  ["hub", "tls://hub:4222"],
  ["10.0.0.7:4333", "tls://10.0.0.7:4333"],
  ["[2001:db8::1]", "tls://[2001:db8::1]:4222"],
  ["2001:db8::1", "tls://[2001:db8::1]:4222"],
  ["[::1]:65535", "tls://[::1]:65535"],
])("the address %s of a hub is %s", (text, url) => {
  expect(hubUrl(parseHubAddress(text))).toBe(url);
});

test.each([
  "",
  "hub:",
  "hub:0",
  "hub:65536",
  "tls://hub",
  "hub/x",
  "a,b",
  "-hub",
  "10.0.0",
  "10.0.0.256",
  "h\nub",
  "hub\nDNS:evil",
  "[hub]",
])("%j is not the address of a hub", (text) => {
  expect(() => parseHubAddress(text)).toThrow("is not the address of a hub");
});

test("a hub has one server, three or five, each named once", () => {
  expect(parseHubAddresses("a,b:4333,10.0.0.7").map(hubUrl)).toEqual([
    "tls://a:4222",
    "tls://b:4333",
    "tls://10.0.0.7:4222",
  ]);
  expect(() => parseHubAddresses("a,b")).toThrow("one server, three or five, and not 2");
  expect(() => parseHubAddresses("a,b,a:4222")).toThrow("names a server twice");
  expect(() => parseHubAddresses("a,,b")).toThrow("is not the address of a hub");
});
