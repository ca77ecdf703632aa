import { isIPv6 } from "node:net";
import { MAX_MESSAGE_BYTES } from "../messages/limits.ts";
import { inboxPrefix } from "../messages/subjects.ts";
import { type HubAddress, hubUrl } from "./address.ts";
import {
  adminPermissions,
  NODE_EXPORTS,
  nodePermissions,
  nodeServices,
  type Permissions,
} from "./permissions.ts";

/** The files of a hub, in one directory, from which nats-server is started. */
export const HUB_FILES = {
  config: "nats-server.conf",
  users: "users.conf",
  certificate: "server.pem",
  key: "server-key.pem",
  authority: "ca.pem",
  pid: "nats-server.pid",
  log: "nats-server.log",
  data: "data",
  /** Of a server that was the only one before, and whose own data stay. */
  dataOfMany: "data-of-many",
} as const;

/** A node holds four subscriptions, and the operator fewer. */
const MAX_SUBSCRIPTIONS = 20;

/** The port for the other servers of the hub is that for clients plus this. nats-server uses 4222 and 6222, too. */
const CLUSTER_PORT_OFFSET = 2000;

/**
 * Returns nats-server.conf. Its paths are relative to the directory in which the server is started. `others`: the other servers of
 * the same hub. `data`: the directory of its streams.
 */
export function serverConfig(
  { host, port }: HubAddress,
  others: readonly HubAddress[] = [],
  data: string = HUB_FILES.data,
): string {
  // Without an address, nats-server listens to IPv4 only. `::` takes both.
  const address = isIPv6(host) ? "[::]" : "0.0.0.0";
  return `# The hub of an ffrtmp fleet. ffrtmp wrote this file once and does not change it: it changes ${HUB_FILES.users} only.
# Start nats-server in this directory: the paths are relative.
server_name: ${JSON.stringify(others.length === 0 ? host : `${host}:${port}`)}
listen: "${address}:${port}"
pid_file: "${HUB_FILES.pid}"
max_payload: ${MAX_MESSAGE_BYTES}
max_subscriptions: ${MAX_SUBSCRIPTIONS}
tls {
  cert_file: "${HUB_FILES.certificate}"
  key_file: "${HUB_FILES.key}"
  # Seconds. All nodes come back at once after a restart, and wait for each other: with the default of 2, those that are cut
  # off would begin again and again.
  timeout: 10
}
jetstream {
  store_dir: "${data}"
  # Each message is on the disk before it is acknowledged: a power cut loses none.
  sync_interval: always
}
${others.length === 0 ? "" : clusterConfig({ host, port }, `${address}:${clusterPort(port)}`, others)}include "${HUB_FILES.users}"
`;
}

/** Only a server with a certificate of the fleet's authority is accepted as a part of the hub, and no other program has one. */
function clusterConfig(own: HubAddress, listen: string, others: readonly HubAddress[]): string {
  const routes = others.map(
    ({ host, port }) => `"tls://${host.includes(":") ? `[${host}]` : host}:${clusterPort(port)}"`,
  );
  return `# Nodes that know one server are told of the others, by the name in the certificate.
client_advertise: "${hubUrl(own).replace("tls://", "")}"
cluster {
  name: fleet
  listen: "${listen}"
  routes: [${routes.join(", ")}]
  tls {
    cert_file: "${HUB_FILES.certificate}"
    key_file: "${HUB_FILES.key}"
    ca_file: "${HUB_FILES.authority}"
    verify: true
  }
}
`;
}

function clusterPort(port: number): number {
  return port + CLUSTER_PORT_OFFSET;
}

/**
 * Returns users.conf: the operator, each node, and users for one look each at whether the server has read this version.
 *
 * Each node has an account of its own, and in it the subjects of the fleet that it may use. Permissions alone are not enough:
 * the server checks to which subject a client publishes, and not where it wants the answer. A node of the account FLEET could
 * let the server answer to `$JS.API.STREAM.DELETE.RESULTS`, or to the subject of another node. In an account of its own, the
 * answer finds no other subjects than those that the node may use anyway.
 */
export function usersConfig({ admin, probes, nodes, isClosed }: Users): string {
  const operators = [
    userLine(admin, adminPermissions()),
    ...probes.map((probe) => userLine(probe, { publish: [], subscribe: [] })),
  ];
  const accounts = [...nodes].map(([node, { nkey, pools }]) =>
    nodeAccount(node, nkey, nodePermissions(node, pools, isClosed)),
  );
  return `# Written by ffrtmp fleet: change it with ffrtmp fleet invite and ffrtmp fleet revoke.
accounts {
  FLEET {
    jetstream: enabled
    users: [
${lines(operators, 6)}    ]
    exports: [
${lines(exports(), 6)}    ]
  }
${accounts.join("")}}
`;
}

function nodeAccount(node: string, nkey: string, permissions: Permissions): string {
  const { publish, subscribe } = permissions;
  const imports = [
    ...nodeServices(node, publish).map(
      (subject) => `{service: {account: FLEET, subject: ${JSON.stringify(subject)}}}`,
    ),
    ...subscribe
      .filter((subject) => !subject.startsWith(`${inboxPrefix(node)}.`))
      .map((subject) => `{stream: {account: FLEET, subject: ${JSON.stringify(subject)}}}`),
  ];
  return `  "node-${node}" {
    users: [${userLine(nkey, permissions)}]
    imports: [
${lines(imports, 6)}    ]
  }
`;
}

function exports(): string[] {
  const { services, streamed, streams } = NODE_EXPORTS;
  return [
    ...services.map((subject) => `{service: ${JSON.stringify(subject)}}`),
    ...streamed.map((subject) => `{service: ${JSON.stringify(subject)}, response_type: stream}`),
    ...streams.map((subject) => `{stream: ${JSON.stringify(subject)}}`),
  ];
}

function lines(texts: readonly string[], indent: number): string {
  return texts.map((text) => `${" ".repeat(indent)}${text}\n`).join("");
}

/** The users of a hub by their public NKeys. */
export interface Users {
  readonly admin: string;
  readonly probes: readonly string[];
  /** No node may take jobs out of a queue. */
  readonly isClosed: boolean;
  readonly nodes: ReadonlyMap<string, { readonly nkey: string; readonly pools: readonly string[] }>;
}

function userLine(nkey: string, { publish, subscribe }: Permissions): string {
  return `{nkey: ${nkey}, permissions: {publish: ${listRule(publish)}, subscribe: ${listRule(subscribe)}}}`;
}

/** The server takes an empty list of what is allowed for everything. */
function listRule(subjects: readonly string[]): string {
  if (subjects.length === 0) return '{deny: [">"]}';
  return `{allow: [${subjects.map((subject) => JSON.stringify(subject)).join(", ")}]}`;
}
