/**
 * The name of a node, of a pool or of a job is one token of a NATS subject, so it contains no dot, no wildcard and no space.
 * Source: https://docs.nats.io/nats-concepts/subjects#characters-allowed-and-recommended-for-subject-names
 */
const TOKEN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;

/** Says what a name is, after a colon. */
export const NODE_NAME = "expected 1 to 63 letters, digits, - or _, beginning with a letter or digit";

export function isNodeName(text: string): boolean {
  return TOKEN.test(text);
}
