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
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min((above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (above[j - 1] ?? 0) + (same ? 0 : 1));
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    before = above;
    above = row;
  }
  return above[b.length] ?? 0;
}
