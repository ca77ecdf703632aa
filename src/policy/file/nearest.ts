/** Returns the known word that a misspelt word is most like; `undefined` when none is near. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: { word: string; distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance(normalise(word), normalise(candidate));
    const isNear = distance <= Math.max(1, Math.floor(Math.min(word.length, candidate.length) / 3));
    if (isNear && (!best || distance < best.distance)) best = { word: candidate, distance };
  }
  return best?.word;
}

/** Removes the most common differences: case, and the characters between words. */
function normalise(word: string): string {
  return word
    .slice(0, 64)
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .replace(/[- ]/g, "_")
    .toLowerCase();
}

/** Counts the letters to insert, remove or replace. A swap of two neighbours counts once. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [];
  const cost = (i: number, j: number): number => (i === 0 || j === 0 ? i + j : (rows[i]?.[j] ?? 0));
  for (let i = 1; i <= a.length; i++) {
    const row: number[] = [];
    rows[i] = row;
    for (let j = 1; j <= b.length; j++) {
      const replaced = cost(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(cost(i - 1, j) + 1, cost(i, j - 1) + 1, replaced);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) row[j] = Math.min(row[j] ?? 0, cost(i - 2, j - 2) + 1);
    }
  }
  return cost(a.length, b.length);
}
