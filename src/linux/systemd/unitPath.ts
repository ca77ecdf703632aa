/** The systemd unit that a cgroup path belongs to. */
export interface UnitPlace {
  /** The cgroup path of the slice of the unit; `/` without a slice. */
  slicePath: string;
  /** `system.slice`; `-.slice` for the root slice. */
  slice: string;
  /** `nginx.service`, `session-3.scope`. */
  unit: string;
  /**
   * The parts of the path below the unit, which the owner of a delegated unit created. Empty for the unit
   * itself.
   */
  below: string[];
}

/** Parses a cgroup path. `undefined` when it contains no unit: it is a slice, or not a path of systemd. */
// /system.slice/nginx.service
// /user.slice/user-1000.slice/user@1000.service/app.slice/app-ffmpeg.scope
export function parseUnitPlace(cgroupPath: string): UnitPlace | undefined {
  const parts = cgroupPath.split("/").filter(Boolean);
  const index = parts.findIndex((part) => !part.endsWith(".slice"));
  const unit = parts[index];
  if (unit === undefined || !/\.(service|scope|socket|mount|swap)$/.test(unit)) return undefined;
  const slices = parts.slice(0, index);
  return {
    slicePath: `/${slices.join("/")}`,
    slice: slices.at(-1) ?? "-.slice",
    unit,
    below: parts.slice(index + 1),
  };
}

/** Returns the uid of a user's manager, such as `user@1000.service`; `undefined` for any other unit. */
export function userOfManager(unit: string): number | undefined {
  const uid = /^user@(\d+)\.service$/.exec(unit)?.[1];
  return uid === undefined ? undefined : Number(uid);
}
