/** The names on the hub. Each node writes under its own name alone, which the permissions of the hub enforce. */

/** The stream of the results of all nodes. */
export const RESULTS = "RESULTS";

/** The last state of a node. */
export function nodeSubject(node: string): string {
  return `ffrtmp.node.${node}`;
}

/** The results of a node, one message for up to 200 of them. */
export function resultSubject(node: string): string {
  return `ffrtmp.result.${node}`;
}

/** The request for the last message with the results of a node, which any server that has the stream answers. */
export function lastResultRequest(node: string): string {
  return `$JS.API.DIRECT.GET.${RESULTS}.${resultSubject(node)}`;
}

/** Where a node receives the answers to its requests. */
export function inboxPrefix(node: string): string {
  return `_INBOX.${node}`;
}
