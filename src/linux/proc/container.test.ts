import { expect, test } from "bun:test";
import { parseContainers } from "./container.ts";

const ID = "9f2c".repeat(16);
const OTHER = "01ab".repeat(16);

test.each([
  [`/system.slice/docker-${ID}.scope`, [ID]],
  [`/docker/${ID}`, [ID]],
  [`/docker/${ID}/docker/${OTHER}`, [ID, OTHER]],
  [
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3e.slice/cri-containerd-${ID}.scope`,
    [ID],
  ],
  [`/kubepods/besteffort/pod3e61/${ID}`, [ID]],
  [`/machine.slice/libpod-${ID}.scope/container`, [ID]],
  [`/machine.slice/libpod-conmon-${ID}.scope`, []],
  [`/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope`, [ID]],
  ["/lxc/web/x", ["web"]],
  ["/lxc.payload.web/system.slice/ssh.service", ["web"]],
  ["/machine.slice/machine-web.scope/payload", ["web"]],
  ["/machine.slice/systemd-nspawn@web.service/payload", ["web"]],
  ["/system.slice/docker.service", []],
  ["/system.slice/containerd.service", []],
  [`/x/${ID.slice(1)}`, []],
  ["/", []],
])("parseContainers(%s)", (path, containers) => {
  expect(parseContainers(path)).toEqual(containers);
});
