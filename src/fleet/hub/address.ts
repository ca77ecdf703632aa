import { isIP, isIPv6 } from "node:net";
import { Refusal } from "../../jobs/errors.ts";
import { DEFAULT_PORT } from "./serverConfig.ts";

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
    `${JSON.stringify(text)} is no address of a hub`,
    "name it as nodes can reach it: hub.example.net, 10.0.0.7:4222 or [2001:db8::1]:4222",
  );
}

/** Returns `tls://host:port`. */
export function hubUrl({ host, port }: HubAddress): string {
  return `tls://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
