import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { DaemonSet } from "kubernetes-types/apps/v1";
import type { ConfigMap, Container } from "kubernetes-types/core/v1";

const REPOSITORY = resolve(import.meta.dir, "../..");
const MANIFEST = join(REPOSITORY, "packaging/kubernetes/daemonset.yaml");
const directory = mkdtempSync(join(tmpdir(), "ffrtmp-manifest-"));
afterAll(() => rmSync(directory, { recursive: true }));

interface ApiObject {
  apiVersion: string;
  kind: string;
}

const documents = Bun.YAML.parse(readFileSync(MANIFEST, "utf8")) as ApiObject[];
const daemonSet = documents.find(({ kind }) => kind === "DaemonSet") as DaemonSet;
const pod = daemonSet.spec?.template.spec;
const container = pod?.containers[0] as Container;

/**
 * Checks objects against the types of the Kubernetes API, also for unknown fields. Returns the errors of tsc.
 */
function faultsIn(objects: ApiObject[]): string {
  const lines = objects.map(({ apiVersion, kind }, index) => {
    const from = apiVersion.includes("/") ? apiVersion : `core/${apiVersion}`;
    const object = JSON.stringify(objects[index]);
    return `{ const checked: import("kubernetes-types/${from}").${kind} = ${object}; void checked; }`;
  });
  writeFileSync(join(directory, "manifest.ts"), `${lines.join("\n")}\nexport {};\n`);
  writeFileSync(
    join(directory, "tsconfig.json"),
    '{ "compilerOptions": { "strict": true, "noEmit": true, "module": "preserve", "moduleResolution": "bundler", "types": [], "skipLibCheck": true }, "files": ["manifest.ts"] }',
  );
  const cmd = [join(REPOSITORY, "node_modules/.bin/tsc"), "-p", directory];
  return Bun.spawnSync(cmd, { cwd: directory }).stdout.toString();
}
symlinkSync(join(REPOSITORY, "node_modules"), join(directory, "node_modules"));

test("the manifest has exactly the fields of the Kubernetes API types", () => {
  expect(faultsIn(documents)).toBe("");
});

test("a wrong field or value in the manifest is an error", () => {
  const mistakes: [string, string][] = [
    ['"hostPID":true', '"hostPid":true'],
    ['"privileged":true', '"privileged":"yes"'],
    ['"image":"ffrtmp:latest",', '"imag":"ffrtmp:latest",'],
    ['"operator":"Exists"', '"operator":1'],
    ['"selector":', '"selectors":'],
  ];
  const text = JSON.stringify(documents);
  for (const [right, wrong] of mistakes) {
    expect(text).toContain(right);
    expect(faultsIn(JSON.parse(text.replace(right, wrong)))).toMatch(/error TS2(322|353|561|741)/);
  }
});

test("the manifest has valid names, and a selector that matches its own pods", () => {
  for (const name of [
    daemonSet.metadata?.name,
    container.name,
    ...(pod?.volumes ?? []).map(({ name }) => name),
  ]) {
    expect(name).toMatch(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
  }
  expect(daemonSet.spec?.template.metadata?.labels).toMatchObject(daemonSet.spec?.selector.matchLabels ?? {});
  expect(Object.keys(daemonSet.spec?.selector.matchLabels ?? {})).not.toEqual([]);
  expect(documents.map(({ kind }) => kind)).toEqual(["Namespace", "ConfigMap", "DaemonSet"]);
  const mounted = (container.volumeMounts ?? []).map(({ name }) => name);
  expect(mounted.toSorted()).toEqual((pod?.volumes ?? []).map(({ name }) => name).toSorted());
});

test("the pod has the node's processes, events and cgroups, and a state directory that outlives it", () => {
  expect(pod).toMatchObject({ hostPID: true, hostNetwork: true });
  expect(container.securityContext?.privileged).toBe(true);
  const paths = new Map((pod?.volumes ?? []).map(({ name, hostPath }) => [name, hostPath?.path]));
  const mounts = new Map(
    (container.volumeMounts ?? []).map(({ name, mountPath }) => [mountPath, paths.get(name)]),
  );
  expect(mounts.get("/sys/fs/cgroup")).toBe("/sys/fs/cgroup");
  expect(mounts.get("/var/lib/ffrtmp")).toBe("/var/lib/ffrtmp");
  expect(pod?.nodeSelector).toEqual({ "kubernetes.io/os": "linux" });
  expect(container.args?.slice(0, 3)).toEqual(["watch", "--state-path", "/var/lib/ffrtmp"]);
});

test("the manifest has the policy of the package, mounted at watch's default path", () => {
  const configMap = documents.find(({ kind }) => kind === "ConfigMap") as ConfigMap;
  const policy = Bun.YAML.parse(configMap.data?.["policy.yaml"] ?? "");
  expect(policy).toEqual(Bun.YAML.parse(readFileSync(join(REPOSITORY, "packaging/policy.yaml"), "utf8")));
  expect(configMap.metadata?.namespace).toBe(daemonSet.metadata?.namespace as string);
  const volume = pod?.volumes?.find((each) => each.configMap?.name === configMap.metadata?.name);
  expect(container.volumeMounts).toContainEqual({
    name: volume?.name as string,
    mountPath: "/etc/ffrtmp",
    readOnly: true,
  });
});
