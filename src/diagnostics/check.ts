/** The result of trying one feature that governing can use. */
export interface Check {
  name: string;
  works: boolean;
  /** A version, a path, or the reason why the feature does not work. */
  found: string;
  /** The consequence, where the feature does not work. */
  cost?: string;
}

export function works(name: string, found: string): Check {
  return { name, works: true, found };
}

export function fails(name: string, found: string, cost: string): Check {
  return { name, works: false, found, cost };
}
