/** The names on the hub. Each node writes under its own name alone, which the permissions of the hub enforce. */

/** The stream of the results of all nodes. */
export const RESULTS = "RESULTS";

/** The stream of the last states of the nodes. */
export const NODES = "NODES";

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

/** The request for the last state of a node as the hub has it. */
export function lastReportRequest(node: string): string {
  return `$JS.API.DIRECT.GET.${NODES}.${nodeSubject(node)}`;
}

/** Where a node receives the answers to its requests. */
export function inboxPrefix(node: string): string {
  return `_INBOX.${node}`;
}

/** The stream of jobs that no node has claimed, and that of the claims. */
export const [JOBS, CLAIMS] = ["JOBS", "CLAIMS"] as const;

/** The attempts of a pool that the operator offers. */
export function jobSubject(pool: string): string {
  return `ffrtmp.job.${pool}`;
}

/** The next attempts of jobs of a pool, offered by the node that has lost one. */
export function retrySubject(pool: string, node: string): string {
  return `ffrtmp.retry.${pool}.${node}`;
}

/** The claim of an attempt. `*` for the attempt: those of all attempts. `*` for the node: the claims of all nodes, of which there is at most one. */
export function claimSubject(job: string, attempt: number | "*", node: string): string {
  return `ffrtmp.claim.${job}.${attempt}.${node}`;
}

/** The statement that an attempt is lost, by the node that claimed it. */
export function lossSubject(job: string, attempt: number | "*", node: string): string {
  return `ffrtmp.loss.${job}.${attempt}.${node}`;
}

/** The record that a job was submitted, in CLAIMS. An id has one, for ever. */
export function submissionSubject(job: string): string {
  return `ffrtmp.submitted.${job}`;
}

/**
 * In the place of a node, in the claim of an attempt that the operator has withdrawn. No node has this name, because a node's
 * begins with a letter or a digit.
 */
export const OPERATOR = "_operator";

/** The request for the last message of a subject of CLAIMS, which any server that has the stream answers. */
export function lastInClaimsRequest(subject: string): string {
  return `$JS.API.DIRECT.GET.${CLAIMS}.${subject}`;
}

/** The document with a template of jobs. */
export function templateSubject(name: string): string {
  return `$KV.FLEET.template.${name}`;
}

/** The request for the document with a template, which any server that has the stream answers. */
export function templateRequest(name: string): string {
  return `$JS.API.DIRECT.GET.KV_FLEET.${templateSubject(name)}`;
}

/** The stream of the signed documents. */
export const DOCUMENTS = "KV_FLEET";

/** The request for the last document at a subject, which any server that has the stream answers. */
export function documentRequest(subject: string): string {
  return `$JS.API.DIRECT.GET.${DOCUMENTS}.${subject}`;
}

/** The document with the policy of a ring. */
export function policySubject(ring: string): string {
  return `$KV.FLEET.policy.${ring}`;
}

/** The document that says what the operator wants of a node. */
export function desiredSubject(node: string): string {
  return `$KV.FLEET.node.${node}`;
}

/** Where the hub says that it has stored a document: a message without content, whose headers have its number. */
export function storedSubject(document: string): string {
  return document.replace(/^\$KV\.FLEET\./, "ffrtmp.stored.");
}
