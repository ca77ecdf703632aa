/**
 * How results leave a node exactly once. Every message on the node's subject says how far each ledger of the node has come,
 * and is stored only if the message before it is the one that the sender has read. So the last message on the hub is the whole
 * state: whoever has read it knows what to send next, after a lost answer, a lost tail, a restored hub or a new ledger. The
 * node itself remembers nothing. Pure; the agent does the reading and sending.
 */

/** How far a ledger has come: the number and the key of its last result that was sent. */
export interface Mark {
  readonly ledgerId: string;
  readonly to: number;
  readonly toKey: string;
}

/** The last message on the subject of a node. */
export interface Head extends Mark {
  /** Its number in the stream. */
  readonly streamSeq: number;
  /** The marks of the node's other ledgers, the latest first. */
  readonly before: readonly Mark[];
}

/** What is asked of the node's ledger. */
export interface LedgerView {
  readonly ledgerId: string;
  /** The last number that was given; 0 where none was. */
  readonly lastSeq: number;
  /** The key with a number; `undefined` where it was pruned. */
  keyOf(seq: number): string | undefined;
}

/** What to send next, and after which message. */
export interface Position {
  readonly kind: "position";
  readonly ledgerId: string;
  /** The last number of this ledger that the hub has; 0: none. */
  readonly sent: number;
  /** The key of that number; `""`: none. */
  readonly sentKey: string;
  /** The number in the stream of the message that must be the last one; 0: there must be none. */
  readonly after: number;
  readonly before: readonly Mark[];
}

/** The hub has results of this ledger that the ledger does not have: it was cloned, or restored from a backup. */
export interface Diverged {
  readonly kind: "diverged";
  readonly ledgerId: string;
  /** The hub has results up to this number. */
  readonly hubTo: number;
  /** The ledger has given numbers up to this one. */
  readonly lastSeq: number;
}

/**
 * The ledgers that a node had before, of which one can come back from a copy. More are forgotten, for a node whose state
 * directory is empty at each start of the machine.
 */
const MAX_BEFORE = 16;

/** Returns the position of a ledger behind the last message of its node. `head`: `undefined` where there is none. */
export function locate(head: Head | undefined, ledger: LedgerView): Position | Diverged {
  const { ledgerId, lastSeq } = ledger;
  const marks = head === undefined ? [] : [head, ...head.before];
  const own = marks.find((mark) => mark.ledgerId === ledgerId);
  const before = marks.filter((mark) => mark.ledgerId !== ledgerId).map(toMark);
  if (own !== undefined && !continues(own, ledger))
    return { kind: "diverged", ledgerId, hubTo: own.to, lastSeq };
  const { to: sent, toKey: sentKey } = own ?? { to: 0, toKey: "" };
  const after = head?.streamSeq ?? 0;
  return { kind: "position", ledgerId, sent, sentKey, after, before: before.slice(0, MAX_BEFORE) };
}

/** Returns true where the last result that the hub has of this ledger is one of it, as far as can be known. */
export function continues({ to, toKey }: Omit<Mark, "ledgerId">, ledger: LedgerView): boolean {
  if (to > ledger.lastSeq) return false;
  const key = to === 0 ? undefined : ledger.keyOf(to);
  return key === undefined || key === toKey;
}

/** Returns the position after a message was stored. */
export function advance(
  position: Position,
  { to, toKey }: Omit<Mark, "ledgerId">,
  streamSeq: number,
): Position {
  return { ...position, sent: to, sentKey: toKey, after: streamSeq };
}

function toMark({ ledgerId, to, toKey }: Mark): Mark {
  return { ledgerId, to, toKey };
}
