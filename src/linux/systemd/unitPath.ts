/** Which unit of a systemd manager a cgroup path belongs to. */
export interface UnitPlace {
  /** The cgroup path of the slice that the unit lies in; `/` for one outside of all. */
  slicePath: string;
  /** `system.slice`; `-.slice` for the root of all. */
  slice: string;
  /** `nginx.service`, `session-3.scope`. */
  unit: string;
  /** What of the path lies below the unit: it was made by whoever the unit is delegated to. Empty for the unit itself. */
  below: string[];
}

/** `undefined` when the path leads through no service or scope: nothing of systemd's, or a slice itself. */
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

/** The uid whose manager a unit is, such as `user@1000.service`. */
export function userOfManager(unit: string): number | undefined {
  const uid = /^user@(\d+)\.service$/.exec(unit)?.[1];
  return uid === undefined ? undefined : Number(uid);
}
