import { isIP, isIPv6 } from "node:net";

/** The address at which a server listens. */
export interface ListenAddress {
  /** An IP address. */
  readonly hostname: string;
  readonly port: number;
  /** Only programs of this machine can connect. */
  readonly isLoopback: boolean;
}

export const LISTEN_ADDRESS = "an address such as 127.0.0.1:9797, [::1]:9797 or 0.0.0.0:9797";

/**
 * Parses `ADDRESS:PORT`. An IPv6 address is in brackets; `localhost` is 127.0.0.1. Other names are refused: what they mean
 * can change, and then who can connect. Returns `undefined` for anything else.
 */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const hostname = plain === "localhost" ? "127.0.0.1" : (bracketed ?? plain ?? "");
  if (!(port >= 1 && port <= 65535) || isIP(hostname) === 0) return undefined;
  if (isIPv6(hostname) !== (bracketed !== undefined)) return undefined;
  return { hostname, port, isLoopback: isLoopback(hostname) };
}

/** RFC 1122, 3.2.1.3; RFC 4291, 2.5.3. */
function isLoopback(address: string): boolean {
  return isIPv6(address) ? new URL(`http://[${address}]`).hostname === "[::1]" : address.startsWith("127.");
}

/** Returns the URL at which a server can be reached from this machine. */
export function urlOf({ hostname, port }: ListenAddress, isEncrypted: boolean): string {
  return `${isEncrypted ? "https" : "http"}://${isIPv6(hostname) ? `[${hostname}]` : hostname}:${port}`;
}
