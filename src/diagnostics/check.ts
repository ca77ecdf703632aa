/** One thing that governing can use, found out by doing it. */
export interface Check {
  name: string;
  works: boolean;
  /** What was found: a version, a place, or why it does not work. */
  found: string;
  /** What is lost without it; only where it does not work. */
  cost?: string;
}
