/** Returns an amount with three digits in the unit that fits: `1.46 GiB`. `units` are `base` times as large each. */
export function scaled(amount: number, base: number, units: readonly string[]): string {
  let value = amount;
  let unit = 0;
  // 999.5 would be shown as 1000.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= base;
    unit++;
  }
  const digits = unit === 0 ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[unit]}`;
}
