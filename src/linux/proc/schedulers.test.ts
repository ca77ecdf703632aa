import { expect, test } from "bun:test";
import fc from "fast-check";
import { findSchedulerCgroups, idInScheduler, type SchedulerLabels } from "./schedulers.ts";
import { labelsOfEnvironment } from "./schedulerVariables.ts";

const ID = "9f2c".repeat(16);
const UID = "3e61c0de-5a00-11e9-b385-42010a80018d";
const ALLOC = "d58f1c9e-1b2a-4c3d-8e9f-001122334455";

const slurm = { slurm_job: "17", slurm_step: "0" };
const pod = { k8s_pod: UID, k8s_container: ID };
const nomad = { nomad_alloc: ALLOC, nomad_task: "encode" };

test.each<[string, string | undefined, SchedulerLabels]>([
  // Slurm, cgroup v1. The second is that of a slurmd with -N, as a real one made it.
  ["/slurm/uid_1000/job_17/step_0/task_0", "slurm", slurm],
  ["/slurm_n1/uid_0/job_17/step_0", "slurm", slurm],
  ["/slurm/uid_1000/job_17/step_batch", "slurm", { slurm_job: "17", slurm_step: "batch" }],
  // cgroup v2.
  ["/system.slice/slurmstepd.scope/job_17/step_0/user/task_0", "slurm", slurm],
  ["/system.slice/n1_slurmstepd.scope/job_17/step_0/user/task_0", "slurm", slurm],
  [
    "/system.slice/slurmstepd.scope/job_17/step_extern/user/task_special",
    "slurm",
    { ...slurm, slurm_step: "extern" },
  ],
  ["/system.slice/slurmstepd.scope/system", undefined, {}],
  ["/system.slice/slurmd.service", "systemd", { systemd_unit: "slurmd.service" }],
  // A directory of anybody's.
  ["/x/job_17/step_0", undefined, {}],
  ["/slurm/uid_1000/job_x", undefined, {}],

  [
    "/htcondor/condor_var_lib_condor_execute_slot1_1@node-3.example",
    "htcondor",
    { condor_slot: "slot1_1@node-3.example" },
  ],
  ["/htcondor/condor_var_lib_condor_execute_slot2", "htcondor", { condor_slot: "slot2" }],
  [
    "/system.slice/htcondor/condor_var_lib_condor_execute_slot1_23@n",
    "htcondor",
    { condor_slot: "slot1_23@n" },
  ],
  ["/system.slice/condor.service", "systemd", { systemd_unit: "condor.service" }],

  // Nomad from 1.7, before it, and on cgroup v1.
  [`/nomad.slice/share.slice/${ALLOC}.encode.scope`, "nomad", nomad],
  [`/nomad.slice/reserve.slice/${ALLOC}.encode.scope`, "nomad", nomad],
  [`/nomad.slice/${ALLOC}.encode.scope`, "nomad", nomad],
  [`/nomad/share/${ALLOC}.encode`, "nomad", nomad],
  [`/nomad/${ALLOC}.encode`, "nomad", nomad],
  [`/nomad.slice/share.slice/${ALLOC}.hls.720p.scope`, "nomad", { ...nomad, nomad_task: "hls.720p" }],
  [`/x/${ALLOC}.encode`, undefined, {}],

  // Kubernetes with the cgroupfs driver.
  [`/kubepods/burstable/pod${UID}/${ID}`, "kubernetes", pod],
  [`/kubepods/besteffort/pod${UID}/${ID}`, "kubernetes", pod],
  [`/kubepods/pod${UID}/${ID}`, "kubernetes", pod],
  [`/kubepods/burstable/pod${UID}`, "kubernetes", { k8s_pod: UID }],
  // With the systemd driver: containerd, CRI-O, Docker, and a static pod.
  ...["cri-containerd", "crio", "docker"].map((runtime): [string, string, SchedulerLabels] => [
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UID.replaceAll("-", "_")}.slice/${runtime}-${ID}.scope`,
    "kubernetes",
    pod,
  ]),
  [
    `/kubepods.slice/kubepods-pod${ID.slice(0, 32)}.slice/cri-containerd-${ID}.scope`,
    "kubernetes",
    { k8s_pod: ID.slice(0, 32), k8s_container: ID },
  ],
  // kind, and a containerd that does not know that systemd is the driver.
  [
    `/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${UID.replaceAll("-", "_")}.slice/cri-containerd-${ID}.scope`,
    "kubernetes",
    pod,
  ],
  [
    `/system.slice/containerd.service/kubepods-burstable-pod${UID.replaceAll("-", "_")}.slice:cri-containerd:${ID}`,
    "kubernetes",
    { systemd_unit: "containerd.service", ...pod },
  ],
  [`/x/pod${UID}/${ID}`, undefined, {}],

  ["/system.slice/encode@hls.service", "systemd", { systemd_unit: "encode@hls.service" }],
  [
    "/system.slice/system-encode.slice/encode@a\\x2db.service/sub",
    "systemd",
    { systemd_unit: "encode@a\\x2db.service" },
  ],
  [
    "/user.slice/user-1000.slice/user@1000.service/app.slice/encode.service",
    "systemd",
    { systemd_user_unit: "encode.service" },
  ],
  ["/user.slice/user-1000.slice/user@1000.service/init.scope", undefined, {}],
  ["/user.slice/user-1000.slice/session-3.scope", undefined, {}],
  ["/init.scope", undefined, {}],
  ["/system.slice/cron.service", "cron", { systemd_unit: "cron.service" }],
  ["/system.slice/crond.service", "cron", { systemd_unit: "crond.service" }],
  // Units of another systemd, inside of a container.
  ["/lxc.payload.web/system.slice/nginx.service", undefined, {}],
  ["/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service", undefined, {}],
  [`/system.slice/docker-${ID}.scope/system.slice/nginx.service`, undefined, {}],
  ["/system.slice/not a unit.service", undefined, {}],
  ["/", undefined, {}],
  // A cgroup namespace below: cgroup_namespaces(7).
  [`/../${ALLOC}.encode.scope`, "nomad", nomad],
])("%s", (path, scheduler, labels) => {
  const found = findSchedulerCgroups(path);
  expect(found.at(-1)?.scheduler as string | undefined).toBe(scheduler);
  expect(Object.assign({}, ...found.map((each) => each.labels))).toEqual(labels);
  for (const { cgroupPath } of found) expect(`${path}/`).toStartWith(`${cgroupPath}/`);
});

test("any path can be read, and each label is part of it", () => {
  const component = fc.oneof(
    fc.string(),
    fc.constantFrom(
      "job_1",
      "step_0",
      "uid_0",
      "slurmstepd.scope",
      "a.service",
      "user@1.service",
      "kubepods",
    ),
    fc.constantFrom(`pod${UID}`, ID, `${ALLOC}.x`, "nomad", "condor_x_slot1", "..", ""),
  );
  fc.assert(
    fc.property(fc.array(component), (parts) => {
      const path = `/${parts.join("/")}`;
      for (const { cgroupPath, labels } of findSchedulerCgroups(path)) {
        expect(`${path}/`).toStartWith(`${cgroupPath}/`);
        for (const label of Object.values(labels)) expect(path).toContain(label);
      }
    }),
  );
});

test("a unit of a user depends on the name of his manager, which root's systemd chose", () => {
  const manager = "/user.slice/user-1000.slice/user@1000.service";
  const [found] = findSchedulerCgroups(`${manager}/app.slice/encode.service`);
  expect(found?.cgroupPath).toBe(manager);
});

test.each<[Record<string, string>, SchedulerLabels]>([
  [
    { SLURM_JOB_ID: "17", SLURM_STEP_ID: "0" },
    { scheduler: "slurm", slurm_job: "17", slurm_step: "0" },
  ],
  // A batch script.
  [{ SLURM_JOB_ID: "17" }, { scheduler: "slurm", slurm_job: "17" }],
  [
    { NOMAD_ALLOC_ID: ALLOC, NOMAD_TASK_NAME: "encode" },
    { scheduler: "nomad", nomad_alloc: ALLOC, nomad_task: "encode" },
  ],
  [{ _CONDOR_SLOT: "slot1_1" }, { scheduler: "htcondor", condor_slot: "slot1_1" }],
  [{ PATH: "/bin" }, {}],
  [{ SLURM_JOB_ID: "1\n2" }, {}],
  [{ SLURM_JOB_ID: "1".repeat(129) }, {}],
  [{ SLURM_JOB_ID: "" }, {}],
])("labelsOfEnvironment(%j)", (environment, labels) => {
  expect(labelsOfEnvironment(environment)).toEqual(labels);
});

test.each<[Record<string, string>, string | undefined]>([
  [{ scheduler: "slurm", slurm_job: "17", slurm_step: "0" }, "17"],
  [{ scheduler: "kubernetes", k8s_pod: UID, k8s_container: ID }, UID],
  [{ scheduler: "systemd", systemd_user_unit: "a.service" }, "a.service"],
  [{ scheduler: "cron", systemd_unit: "cron.service" }, "cron.service"],
  // A label that the operator chose.
  [{ scheduler: "own" }, undefined],
  [{ scheduler: "constructor" }, undefined],
  [{}, undefined],
])("idInScheduler(%j)", (labels, id) => {
  expect(idInScheduler(labels)).toBe(id);
});
