const ID = /^(?:.*-)?([0-9a-f]{64})(?:\.scope)?$/;
/** The monitor of a container runs outside of it, in a cgroup whose name contains the id of the container. */
const MONITOR = /(?:^|-)conmon-/;

/** Returns the containers that a cgroup path passes through, outermost first: ids, or names (LXC, nspawn). */
// /system.slice/docker-9f2c….scope
// /kubepods/burstable/pod3e61…/9f2c…
// /machine.slice/libpod-9f2c….scope/container
// /lxc.payload.web/…   /lxc/web
// /machine.slice/machine-web.scope/payload   /machine.slice/systemd-nspawn@web.service/payload
export function parseContainers(cgroupPath: string): string[] {
  return findContainers(cgroupPath).map(({ name }) => name);
}

/** Returns the containers of `parseContainers`, each with the cgroup whose name says so. */
export function findContainers(cgroupPath: string): { name: string; cgroupPath: string }[] {
  const parts = cgroupPath.split("/");
  return parts.flatMap((part, index) => {
    const id = MONITOR.test(part) ? undefined : ID.exec(part)?.[1];
    const name =
      id ??
      /^lxc\.payload\.(.+)$/.exec(part)?.[1] ??
      (parts[index - 1] === "lxc" || parts[index - 1] === "lxc.payload" ? part : undefined) ??
      /^machine-(.+)\.scope$/.exec(part)?.[1] ??
      /^systemd-nspawn@(.+)\.service$/.exec(part)?.[1];
    return name ? [{ name, cgroupPath: parts.slice(0, index + 1).join("/") }] : [];
  });
}
