/**
 * Numbers of documents without proof: those that nodes report, and those of other signers. A stolen key of a node
 * must not use up the numbers, so one that no fleet reaches by counting is left out.
 */
const MAX_JUMP = 1_000_000;

/**
 * Returns the serial of the next document: above the last one of this operator, and above what nodes have accepted already. A
 * hub that was restored from an older backup has an older last document than its nodes.
 */
export function nextSerial(
  own: number,
  reported: Iterable<readonly [source: string, serial: number]>,
): { serial: number; implausible: string[] } {
  let highest = own;
  const implausible: string[] = [];
  for (const [source, serial] of reported) {
    if (!Number.isSafeInteger(serial) || serial > own + MAX_JUMP) implausible.push(`${source} (${serial})`);
    else highest = Math.max(highest, serial);
  }
  return { serial: highest + 1, implausible };
}
