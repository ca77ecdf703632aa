/** The release that the foot of each manual page names. */
export interface ManRelease {
  version: string;
  /** `2026-11-24` */
  date: string;
}
