import {
  CLAIMS,
  desiredSubject,
  inboxPrefix,
  JOBS,
  nodeSubject,
  policySubject,
  resultSubject,
  retrySubject,
  storedSubject,
  templateSubject,
} from "../messages/subjects.ts";

/** What a user of the server may publish and subscribe to: subjects, with `*` for one token and `>` for the rest. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** The first token of replies to the operator. No node has this name, because a node's begins with a letter or a digit. */
export const ADMIN_INBOX = "_INBOX._admin";

/**
 * A node reports its own state and results, reads back the last of its own, reads signed documents, and is told when one is
 * stored. In a pool, it also reads the templates of jobs, takes jobs from the pool's queue, and writes and reads back its own
 * claims and losses. Everything else is denied, as the server does with a list that allows. `isClosed`: it takes no jobs, and
 * does all the rest.
 */
export function nodePermissions(node: string, pools: readonly string[] = [], isClosed = false): Permissions {
  // Every ring: the operator can move the node to another one.
  const followed = [policySubject("*"), desiredSubject(node)];
  const documents = [...followed, ...(pools.length > 0 ? [templateSubject("*")] : [])];
  const own = { NODES: nodeSubject(node), RESULTS: resultSubject(node) };
  return {
    publish: [
      ...Object.values(own),
      ...Object.entries(own).map(([stream, subject]) => `$JS.API.DIRECT.GET.${stream}.${subject}`),
      ...documents.map((subject) => `$JS.API.DIRECT.GET.KV_FLEET.${subject}`),
      ...(pools.length > 0 ? claimRights(node) : []),
      ...pools.flatMap((pool) => poolRights(node, pool, isClosed)),
    ],
    subscribe: [`${inboxPrefix(node)}.>`, ...followed.map(storedSubject)],
  };
}

/** A job can be in any pool of the node, and the subject of a claim does not name it. */
function claimRights(node: string): string[] {
  const own = ["claim", "loss"].map((kind) => `ffrtmp.${kind}.*.*.${node}`);
  return [...own, ...own.map((subject) => `$JS.API.DIRECT.GET.${CLAIMS}.${subject}`)];
}

function poolRights(node: string, pool: string, isClosed: boolean): string[] {
  return [
    ...(isClosed ? [] : [`$JS.API.CONSUMER.MSG.NEXT.${JOBS}.${pool}`]),
    `$JS.ACK.${JOBS}.${pool}.>`,
    retrySubject(pool, node),
  ];
}

/**
 * Returns the subjects of the fleet's account that a node's own account has as services. An account takes memory of the server for
 * each, so the requests for what is the node's own are one subject for all streams: whichever it names, the node alone has written
 * there.
 */
export function nodeServices(node: string, publish: readonly string[]): string[] {
  const ownOnly = new RegExp(`^(\\$JS\\.API\\.DIRECT\\.GET)\\.\\w+\\.ffrtmp\\.\\w+((?:\\.\\*)*\\.${node})$`);
  return [...new Set(publish.map((subject) => subject.replace(ownOnly, "$1.*.ffrtmp.*$2")))];
}

/**
 * The subjects of the fleet's account that nodes use from their own accounts. `services` have one answer at most, `streamed`
 * ones any number: a request for jobs is answered by each job, or by a status.
 */
export const NODE_EXPORTS = {
  services: [
    "ffrtmp.node.*",
    "ffrtmp.result.*",
    "ffrtmp.claim.*.*.*",
    "ffrtmp.loss.*.*.*",
    "ffrtmp.retry.*.*",
    "$JS.API.DIRECT.GET.*.>",
    `$JS.ACK.${JOBS}.*.>`,
  ],
  streamed: [`$JS.API.CONSUMER.MSG.NEXT.${JOBS}.*`],
  streams: [storedSubject("$KV.FLEET.>")],
} as const;

/** The operator creates streams, saves and restores them, reads all of them, and writes the documents, which are signed. */
export function adminPermissions(): Permissions {
  return {
    publish: ["ffrtmp.>", "$KV.FLEET.>", "$JS.API.>", "$JS.SNAPSHOT.>"],
    subscribe: [`${ADMIN_INBOX}.>`, "ffrtmp.>", "$KV.FLEET.>"],
  };
}
