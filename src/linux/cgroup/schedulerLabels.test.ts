import { expect, test } from "bun:test";
import type { CgroupFs } from "../cgroupFs.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { schedulerLabels, withVariables } from "./schedulerLabels.ts";

const STRANGER = 1001;
const ROOT = process.geteuid?.() ?? 0;

const V1 = (key: string): Hierarchy => ({
  key,
  version: 1,
  controllers: [key],
  mountPoint: `/cg/${key}`,
  mountRoot: "/",
});
const V2: Hierarchy = { key: "", version: 2, controllers: [], mountPoint: "/cg", mountRoot: "/" };

/** Every directory is root's but for the given ones. */
function labelsOf(
  hierarchies: Hierarchy[],
  membership: Record<string, string>,
  owners: Record<string, number> = {},
) {
  const cgroupFs = { owner: (path: string) => owners[path] ?? ROOT } as unknown as CgroupFs;
  return schedulerLabels({ cgroupFs }, hierarchies, new Map(Object.entries(membership)));
}

test("on v1, a job in one hierarchy counts more than the service in another", () => {
  const systemd = { ...V1("name=systemd"), controllers: [] };
  const membership = {
    freezer: "/slurm/uid_1000/job_17/step_batch",
    "name=systemd": "/system.slice/slurmd.service",
    memory: "/",
  };
  const labels = {
    scheduler: "slurm",
    slurm_job: "17",
    slurm_step: "batch",
    systemd_unit: "slurmd.service",
  };
  expect(labelsOf([V1("freezer"), systemd, V1("memory")], membership)).toEqual(labels);
  // The order does not depend on that of the hierarchies: recorded labels are compared as text.
  const reversed = Object.fromEntries(Object.entries(membership).reverse());
  expect(JSON.stringify(labelsOf([V1("freezer"), systemd], reversed))).toBe(JSON.stringify(labels));
});

test("of nested schedulers, the innermost has started the process", () => {
  const pod = "3e61c0de-5a00-11e9-b385-42010a80018d";
  const path = `/kubepods/pod${pod}/${"9f2c".repeat(16)}/system.slice/slurmstepd.scope/job_17/step_0/user/task_0`;
  expect(labelsOf([V2], { "": path })).toMatchObject({ scheduler: "slurm", slurm_job: "17", k8s_pod: pod });
});

test("a name that another user has chosen is no fact", () => {
  const path = "/user.slice/x/slurm/uid_0/job_17/step_0";
  expect(labelsOf([V2], { "": path })).toMatchObject({ slurm_job: "17" });
  expect(labelsOf([V2], { "": path }, { "/cg/user.slice/x/slurm/uid_0": STRANGER })).toEqual({});
  const step = { "/cg/user.slice/x/slurm/uid_0/job_17": STRANGER };
  expect(labelsOf([V2], { "": path }, step)).toEqual({ scheduler: "slurm", slurm_job: "17" });
});

test("a cgroup that was given to another user still has the name that root gave it", () => {
  const service = "/system.slice/encode.service";
  expect(labelsOf([V2], { "": service }, { [`/cg${service}`]: STRANGER })).toEqual({
    scheduler: "systemd",
    systemd_unit: "encode.service",
  });
});

test("units of a user are labelled as his, below the manager that systemd started for him", () => {
  const manager = "/user.slice/user-1001.slice/user@1001.service";
  const owners = { [`/cg${manager}`]: STRANGER, [`/cg${manager}/app.slice`]: STRANGER };
  expect(labelsOf([V2], { "": `${manager}/app.slice/encode.service` }, owners)).toEqual({
    scheduler: "systemd",
    systemd_user_unit: "encode.service",
  });
  const forged = { ...owners, "/cg/user.slice/user-1001.slice": STRANGER };
  expect(labelsOf([V2], { "": `${manager}/app.slice/encode.service` }, forged)).toEqual({});
});

test("a name counts where nothing of it is visible", () => {
  expect(labelsOf([], { "": "/system.slice/encode.service" })).toMatchObject({ scheduler: "systemd" });
});

test("variables name the scheduler where the cgroups show a service only, and add what no cgroup shows", () => {
  const service = { scheduler: "systemd", systemd_unit: "slurmd.service" };
  expect(withVariables(service, { scheduler: "slurm", slurm_job: "17" })).toEqual({
    scheduler: "slurm",
    slurm_job: "17",
    systemd_unit: "slurmd.service",
  });
  expect(withVariables(service, {})).toEqual(service);
  expect(withVariables({}, {})).toEqual({});
  // Inherited by a job of another scheduler.
  const slurm = { scheduler: "slurm", slurm_job: "18" };
  const inherited = { scheduler: "nomad", nomad_task: "encode", slurm_job: "17" };
  expect(withVariables(slurm, inherited)).toEqual({ ...slurm, nomad_task: "encode" });
});
