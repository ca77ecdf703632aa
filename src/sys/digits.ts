/**
 * Returns the number that a text of decimal digits stands for; `undefined` for any other text. Without a pattern: the first use
 * of each takes 0.05 ms, which the start of a workload would pay.
 */
export function parseDigits(text: string): number | undefined {
  for (let index = 0; index < text.length; index++) {
    const digit = text.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
  }
  return text === "" ? undefined : Number(text);
}

/** Returns the number whose digits begin at a place of a text; `undefined` where there is no digit. Makes no text. */
export function digitsAt(text: string, start: number): number | undefined {
  let value = 0;
  let index = start;
  for (; index < text.length; index++) {
    const digit = text.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) break;
    value = 10 * value + digit;
  }
  return index === start ? undefined : value;
}
