import { expect, test } from "bun:test";
import { hubUrl, parseHubAddress } from "./address.ts";

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
])("%j is no address of a hub", (text) => {
  expect(() => parseHubAddress(text)).toThrow("is no address of a hub");
});
