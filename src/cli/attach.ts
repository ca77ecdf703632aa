export function attach(): number {
  return 0;
}
