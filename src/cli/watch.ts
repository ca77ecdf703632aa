export function watch(): number {
  return 0;
}
