import { isIP } from "node:net";
import { ValueFault } from "../../limits/units.ts";

/** The URLs that a template allows for a parameter. */
export interface UrlRule {
  readonly schemes: readonly string[];
  /** Names and addresses; `*.media.example`: each name below it; `*`: each name, and no address. */
  readonly hosts: readonly string[];
  /** The ports that a URL may name. Without them, it names none. */
  readonly ports: readonly number[];
}

/**
 * The schemes that name a host. A query is for the server, or for the program itself: there, `?listen=1` and the like would be
 * options that the template does not have. Source: "Protocols" of ffmpeg-protocols(1).
 */
export const SCHEMES: Readonly<Record<string, { query: "server" | "program" }>> = {
  http: { query: "server" },
  https: { query: "server" },
  rtmp: { query: "server" },
  rtmps: { query: "server" },
  rtmpt: { query: "server" },
  rtmpts: { query: "server" },
  rtsp: { query: "program" },
  rtsps: { query: "program" },
  srt: { query: "program" },
  rist: { query: "program" },
  rtp: { query: "program" },
  udp: { query: "program" },
  tcp: { query: "program" },
  tls: { query: "program" },
  ftp: { query: "program" },
  sftp: { query: "program" },
};

const MAX_LENGTH = 2048;

/**
 * A URL without a user, of characters that each parser of URLs reads alike: printable ASCII, without a backslash, which some
 * take for a slash, and without quotes, brackets and bars, in which programs see lists.
 */
const FORM =
  /^([a-z][a-z0-9+.-]*):\/\/(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([1-9]\d{0,4}))?((?:\/[!$%&()*+,\-./0-9:;=@A-Z_a-z~]*)?(?:\?[!$%&()*+,\-./0-9:;=?@A-Z_a-z~]*)?)$/;

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Returns the text of a URL that a rule allows. Throws ValueFault. */
export function checkUrl(text: string, { schemes, hosts, ports }: UrlRule): string {
  if (text.length > MAX_LENGTH) throw new ValueFault(`has more than ${MAX_LENGTH} characters`);
  const [, scheme, host, port, rest = ""] = FORM.exec(text) ?? [];
  if (scheme === undefined || host === undefined)
    throw new ValueFault(
      "is not a URL of the form scheme://host/path, in lower case up to the path, without a user; a name with other letters is written as xn--…",
    );
  if (!schemes.includes(scheme))
    throw new ValueFault(`has the scheme ${scheme}, not ${schemes.join(" or ")}`);
  if (!hosts.some((rule) => isHostOf(host, rule)))
    throw new ValueFault(`has the host ${host}, not ${hosts.join(" or ")}`);
  if (port !== undefined && !ports.includes(Number(port)))
    throw new ValueFault(
      ports.length === 0
        ? `names the port ${port}, and the template allows none`
        : `has the port ${port}, not ${ports.join(" or ")}`,
    );
  if (rest.includes("?") && SCHEMES[scheme]?.query !== "server")
    throw new ValueFault(`has a query, which for ${scheme} is an option of the program`);
  // Another parser must find the same host.
  if (hostnameOf(text) !== host) throw new ValueFault("has no valid host");
  return text;
}

/** Returns true for a text that the list of hosts may contain. */
export function isHostRule(rule: string): boolean {
  if (rule === "*") return true;
  const name = rule.startsWith("*.") ? rule.slice(2) : rule;
  return isDomainName(name) || (name === rule && isAddress(rule));
}

function isHostOf(host: string, rule: string): boolean {
  if (rule === "*") return isDomainName(host);
  if (!rule.startsWith("*.")) return host === rule;
  return isDomainName(host) && host.endsWith(rule.slice(1));
}

/** A name whose last part is a number is read as an address, also such as 127.1 or 0x7f.1: inet_aton(3). */
function isDomainName(text: string): boolean {
  const labels = text.split(".");
  const isNumber = /^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? "");
  return text.length <= 253 && !isNumber && labels.every((label) => LABEL.test(label));
}

function isAddress(text: string): boolean {
  return isIP(text) === 4 || (/^\[.*\]$/.test(text) && isIP(text.slice(1, -1)) === 6);
}

/** WHATWG knows the hosts of some schemes only; the others are read as one that it knows. */
function hostnameOf(text: string): string | undefined {
  const known = text.replace(/^[^:]+/, "https");
  return URL.canParse(known) ? new URL(known).hostname : undefined;
}
