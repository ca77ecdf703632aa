import { isIP, isIPv6 } from "node:net";
import { Refusal } from "../../jobs/errors.ts";

const DEFAULT_PORT = 4222;

/** Where nodes and the operator connect to a hub. */
export interface HubAddress {
  /** A name in DNS, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
}

const NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/** Reads `hub.example.net`, `10.0.0.7:4333`, `2001:db8::1` or `[2001:db8::1]:4222`. Throws a Refusal. */
export function parseHubAddress(text: string): HubAddress {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? text;
  const port = digits === undefined ? DEFAULT_PORT : Number(digits);
  const isHost =
    bracketed !== undefined
      ? isIPv6(bracketed)
      : isIP(host) !== 0 || (NAME.test(host) && !/^[\d.]+$/.test(host));
  if (isHost && port >= 1 && port <= 65_535) return { host, port };
  throw new Refusal(
    `${JSON.stringify(text)} is not the address of a hub`,
    "name it as nodes can reach it: hub.example.net, 10.0.0.7:4222 or [2001:db8::1]:4222",
  );
}

/** Reads one address, or those of the three or five servers of one hub, with commas between them. Throws a Refusal. */
export function parseHubAddresses(text: string): [HubAddress, ...HubAddress[]] {
  const [first = "", ...rest] = text.split(",");
  const all: [HubAddress, ...HubAddress[]] = [parseHubAddress(first), ...rest.map(parseHubAddress)];
  if (![1, 3, 5].includes(all.length))
    throw new Refusal(
      `a hub has one server, three or five, and not ${all.length}`,
      "an even number survives no more losses than the odd one below it",
    );
  if (new Set(all.map(hubUrl)).size < all.length) throw new Refusal(`${text} names a server twice`);
  return all;
}

/** Returns `tls://host:port`. */
export function hubUrl({ host, port }: HubAddress): string {
  return `tls://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
