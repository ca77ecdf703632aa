/** Longer samples than this are means that hide what happens in a second. The shortest points of a history have 2 s. */
export const MAX_EXACT_SECONDS = 2.5;

/**
 * Returns the cores that a job needs: `0.40`, or `~0.40` for an estimate, which is made of long samples, or of all of them
 * because it is not known in which the job kept up.
 */
export function needText(
  cores: number,
  sampleSeconds: number | null,
  isWhileKeepingUp: boolean | null,
): string {
  const isExact = isWhileKeepingUp && sampleSeconds !== null && sampleSeconds <= MAX_EXACT_SECONDS;
  return `${isExact ? "" : "~"}${cores.toFixed(2)}`;
}
