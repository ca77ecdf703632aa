import { expect } from "bun:test";
import { connect, type Socket } from "node:net";
import openApi from "../../packaging/openapi.json";
import { askDaemon } from "../../src/daemon/askDaemon.ts";
import { API_DOCUMENTS, API_PROBLEM, API_STREAM } from "../../src/json/apiDocuments.ts";
import type { SnapshotJson } from "../../src/json/snapshotSchemas.ts";
import { locateState } from "../../src/ledger/location.ts";
import { Keys, leakIn, secretArguments } from "../support/plantedKeys.ts";
import { freePort } from "../support/ports.ts";
import {
  eventually,
  lacksCommand,
  lacksLimits,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";
import { EventReader } from "../support/serverSentEvents.ts";

const sandbox = useSandbox();
const anyTest = testIf(undefined);
const ffmpegTest = testIf(lacksLimits() ?? lacksCommand("ffmpeg"));
const limitsTest = testIf(lacksLimits() ?? lacksCommand("perl"));

const LIVE = [
  "-loglevel",
  "error",
  "-re",
  "-f",
  "lavfi",
  "-i",
  "testsrc=size=32x32:rate=5",
  "-f",
  "null",
  "-",
];
const QUIET = { stdout: "ignore", stderr: "ignore" } as const;

/** Starts a `watch` for one program, and returns its address. */
async function listen(box: Sandbox, target: string, port?: number) {
  const address = `127.0.0.1:${port ?? freePort()}`;
  const flags = ["--target", target, "--listen", address, "--scan-interval", "200ms"];
  const daemon = box.start(["watch", ...flags], QUIET);
  const url = `http://${address}`;
  await until("it answers", async () => {
    const response = await fetch(`${url}/api/v1/jobs`).catch(() => undefined);
    return response?.status === 200;
  });
  return { daemon, url };
}

/** Asks for a path, and checks the answer by the schema of its route. */
// biome-ignore lint/suspicious/noExplicitAny: the JSON has many shapes
async function get(url: string, route: string, path = route): Promise<any> {
  const response = await fetch(`${url}${path}`);
  const document = await response.json();
  // A test asks more often than a client may.
  if (response.status === 503) {
    await Bun.sleep(1000 * Number(response.headers.get("retry-after")));
    return get(url, route, path);
  }
  const { error } = API_DOCUMENTS[route]?.safeParse(document) ?? {};
  expect({ path, status: response.status, fault: error?.message }).toEqual({
    ...{ path, status: 200, fault: undefined },
  });
  return document;
}

async function openStream(url: string): Promise<EventReader> {
  return new EventReader(await fetch(`${url}/api/v1/stream`, { headers: { "last-event-id": "17" } }));
}

ffmpegTest("every route answers as it is described, with real jobs of ffmpeg", async () => {
  const box = sandbox();
  const { name, path } = box.program("ffmpeg");
  await box.run(["run", "--job-id", "failed", "--sla-eligible", "--", "false"]);
  const { url } = await listen(box, name);
  expect(Object.keys(API_DOCUMENTS).toSorted()).toEqual(
    Object.keys(openApi.paths)
      .filter((each) => !each.endsWith("/stream"))
      .map((each) => each.replace("{job_id}", ":job_id"))
      .toSorted(),
  );

  const live = ["--progress", "--tenant", "acme", "--cpu-quota", "50", "--memory-max", "1GiB"];
  await box.startJob("live", live, ["ffmpeg", ...LIVE]);
  box.adopt(box.spawn([path, ...LIVE], QUIET).pid);
  const snapshot: SnapshotJson = await eventually("both jobs are measured", async () => {
    const shown: SnapshotJson = await get(url, "/api/v1/snapshot");
    const rates = shown.jobs.filter(({ use }) => typeof use?.cpu_percent === "number");
    return rates.length === 2 ? shown : undefined;
  });
  expect(snapshot).toMatchObject({
    counts: { running: 2 },
    sla: { overall: { eligible: 1, compliant: 1 } },
    ended: [{ job_id: "failed", exit_code: 1 }],
  });
  expect(snapshot.jobs.find(({ job_id: id }) => id === "live")).toMatchObject({
    ...{ mode: "run", tenant: "acme", process_count: 1, state: "running", result: null },
    limits_in_force: { cpu_cores: 0.5, memory_max_bytes: 2 ** 30 },
  });
  expect(snapshot.tenants).toMatchObject([{ tenant: "acme", job_count: 1 }]);

  const { jobs } = await get(url, "/api/v1/jobs");
  const ids: string[] = jobs.map(({ job_id: id }: { job_id: string }) => id);
  expect(ids).toHaveLength(2);
  const found = ids.find((id) => id !== "live");
  for (const id of [...ids, "failed"]) {
    const shown = await get(url, "/api/v1/jobs/:job_id", `/api/v1/jobs/${id}?points=20`);
    const inspected = await box.json(["inspect", id, "--no-probe"]);
    expect(Object.keys(shown)).toEqual(expect.arrayContaining(Object.keys(inspected)));
    expect(shown).toMatchObject({ job_id: id, command: inspected.command, limits: inspected.limits });
  }
  // Its media time is in the file of -progress.
  await until("its speed is known", async () => {
    const { use } = await get(url, "/api/v1/jobs/:job_id", "/api/v1/jobs/live");
    return use.media.source === "progress" && use.media.speed > 0;
  });
  // The limits of a job that another ffrtmp observes are those that the ledger has now.
  await box.run(["limits", "set", "live", "--cpu-quota", "30"]);
  await until("its new limit is shown", async () => {
    const { limits_in_force: limits } = await get(url, "/api/v1/jobs/:job_id", "/api/v1/jobs/live");
    return limits.cpu_cores === 0.3;
  });
  const latest = await get(url, "/api/v1/history", "/api/v1/history?limit=1");
  expect(latest).toMatchObject({ results: [{ job_id: "failed", outcome: "failed" }], next: null });
  expect(await get(url, "/api/v1/violations")).toEqual({ results: [], next: null });
  const { events } = await get(url, "/api/v1/events");
  expect(events).toContainEqual(expect.objectContaining({ kind: "daemon_started", job_id: null }));
  expect(await get(url, "/api/v1/policy")).toMatchObject({ target_commands: [name], limits_refused: [] });
  expect(await get(url, "/api/v1/openapi.json")).toEqual(openApi);
  const index = await get(url, "/api/v1");
  expect(index.routes.map((each: { path: string }) => each.path).toSorted()).toEqual(
    Object.keys(openApi.paths).toSorted(),
  );

  // The control socket has the same documents.
  const state = locateState(box.state, {});
  const asked = await askDaemon(state, { request: "snapshot" }, 60_000);
  const shown = API_DOCUMENTS["/api/v1/snapshot"]?.parse((asked as Record<string, unknown>)["snapshot"]);
  expect(shown).toMatchObject({ daemon_pid: snapshot.daemon_pid, counts: { running: 2 } });
  const one = await askDaemon(state, { request: "job", job_id: found }, 60_000);
  const job = API_DOCUMENTS["/api/v1/jobs/:job_id"]?.parse((one as Record<string, unknown>)["job"]);
  expect(job).toMatchObject({ job_id: found, mode: "watch" });
  expect(await askDaemon(state, { request: "job", job_id: "nobody" }, 60_000)).toEqual({
    ok: false,
    error: "there is no job nobody",
  });
});

anyTest("what cannot be answered is a problem document, and no other site can read anything", async () => {
  const { url } = await listen(sandbox(), `none-${sandbox().tag}`);
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${url}${path}`, init);
    const problem = await response.json();
    expect(API_PROBLEM.safeParse(problem).error?.message).toBeUndefined();
    const { headers, status } = response;
    expect(problem).toMatchObject({ status });
    expect(headers.get("content-type")).toBe("application/problem+json");
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("access-control-allow-origin")).toBeNull();
    return { status, allow: headers.get("allow") };
  };
  for (const path of ["/api/v1/snapshot", "/api/v1/stream", "/api/v1/jobs/x", "/api/v1/openapi.json"]) {
    for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:9797"])
      expect(await ask(path, { headers: { host } })).toMatchObject({ status: 403 });
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
      expect(await ask(path, { method, headers: { origin: "http://evil.example" } })).toEqual({
        ...{ status: 405, allow: "GET, HEAD" },
      });
  }
  expect(await ask("/api/v1/jobs/nobody")).toMatchObject({ status: 404 });
  expect(await ask("/api/v1/jobs/%2e%2e%2f%2e%2e%2fetc%2fpasswd")).toMatchObject({ status: 404 });
  expect(await ask("/api/v1/nothing")).toMatchObject({ status: 404 });
  expect(await ask("/api")).toMatchObject({ status: 404 });
  expect(await ask("/api/v1/history?limit=many")).toMatchObject({ status: 400 });
  expect(await ask("/api/v1/stream?jobs=all")).toMatchObject({ status: 400 });
  const head = await fetch(`${url}/api/v1/stream`, { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
});

ffmpegTest("a stream has snapshots, and the start and the end of a job as they happen", async () => {
  const box = sandbox();
  const { name, path } = box.program("ffmpeg");
  const { url } = await listen(box, name);
  const stream = await openStream(url);
  const times: string[] = [];
  const checked = (event: string, data: string) => API_STREAM[event]?.parse(JSON.parse(data)) as never;
  for (let n = 0; n < 3; n++) {
    const { data, id } = await stream.nextNamed("snapshot");
    const { time }: SnapshotJson = checked("snapshot", data);
    times.push(time);
    expect(id).toMatch(/^\d+$/);
  }
  expect(times).toEqual(times.toSorted());
  expect(new Set(times).size).toBe(3);

  const { pid } = box.spawn([path, ...LIVE], QUIET);
  const attached = await stream.nextNamed("event");
  const { job_id: jobId, kind }: { job_id: string; kind: string } = checked("event", attached.data);
  expect([kind, jobId]).toEqual(["job_attached", expect.stringContaining(`${pid}`)]);
  await until("a snapshot has it", async () => {
    const { jobs }: SnapshotJson = checked("snapshot", (await stream.nextNamed("snapshot")).data);
    return jobs.some((job) => job.job_id === jobId && job.use !== null);
  });
  process.kill(pid, "SIGKILL");
  const ended = await stream.nextNamed("ended");
  expect(checked("ended", ended.data) as object).toMatchObject({ job_id: jobId, signal: "SIGKILL" });
  const next: SnapshotJson = checked("snapshot", (await stream.nextNamed("snapshot")).data);
  expect(next.jobs).toEqual([]);
  expect(next.ended).toMatchObject([{ job_id: jobId }]);
  await stream.leave();
});

anyTest("viewers that never read hurt neither the others nor the daemon", async () => {
  const box = sandbox();
  const { url, daemon } = await listen(box, `none-${box.tag}`);
  const { port } = new URL(url);
  const stuck = await Promise.all(Array.from({ length: 63 }, () => stuckViewer(Number(port))));
  const stream = await openStream(url);
  for (let n = 0; n < 3; n++) await stream.nextNamed("snapshot");
  expect((await fetch(`${url}/metrics`)).status).toBe(200);
  const refused = await fetch(`${url}/api/v1/stream`);
  expect(refused.status).toBe(503);
  expect(refused.headers.get("retry-after")).toBe("10");
  for (const socket of stuck) socket.destroy();
  await until("another viewer is let in", async () => {
    const response = await fetch(`${url}/api/v1/stream`);
    await response.body?.cancel();
    return response.status === 200;
  });
  await stream.nextNamed("snapshot");
  await stream.leave();
  expect(daemon.exitCode).toBeNull();
});

/** Asks for the stream, and reads nothing of it. */
async function stuckViewer(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.pause();
  socket.write("GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  return socket;
}

anyTest("after a watch was killed, the next one answers the same client at the same address", async () => {
  const box = sandbox();
  const first = await listen(box, `none-${box.tag}`);
  const port = Number(new URL(first.url).port);
  const stream = await openStream(first.url);
  const before: SnapshotJson = JSON.parse((await stream.nextNamed("snapshot")).data);
  first.daemon.kill("SIGKILL");
  await first.daemon.exited;
  // The client has the end of the stream, and connects again.
  let hasEnded = false;
  while (!hasEnded)
    hasEnded = await stream.next().then(
      () => false,
      () => true,
    );
  const second = await listen(box, `none-${box.tag}`, port);
  const again = await openStream(second.url);
  const after: SnapshotJson = JSON.parse((await again.nextNamed("snapshot")).data);
  expect([before.daemon_pid, after.daemon_pid]).toEqual([first.daemon.pid, second.daemon.pid]);
  await again.leave();
});

limitsTest("no secret of a command is in any answer", async () => {
  const box = sandbox();
  const keys = new Keys();
  const { name, path } = box.program("perl");
  const { url } = await listen(box, name);
  const stream = await openStream(url);
  const argv = secretArguments(keys);
  await box.run(["run", "--job-id", "ended", "--", "sh", "-c", "exit 3", ...argv]);
  await box.startJob("running", ["--cpu-quota", "50"], ["sh", "-c", "sleep 600", ...argv]);
  const { pid } = box.spawn([path, "-e", "sleep 600", "--", ...argv], QUIET);
  const found = await eventually("it is governed", async () => {
    const { jobs } = await get(url, "/api/v1/jobs");
    return jobs.find((job: { pid: number }) => job.pid === pid);
  });
  const sent = [await stream.nextNamed("event"), await stream.nextNamed("snapshot")];
  process.kill(pid, "SIGKILL");
  sent.push(await stream.nextNamed("ended"));
  await stream.leave();
  const paths = [
    ...["/metrics", "/api/v1/snapshot", "/api/v1/jobs", "/api/v1/history", "/api/v1/violations"],
    ...["/api/v1/events", "/api/v1/policy", "/api/v1/jobs/ended", "/api/v1/jobs/running"],
    `/api/v1/jobs/${found.job_id}`,
  ];
  const answers = await Promise.all(paths.map(async (each) => (await fetch(`${url}${each}`)).text()));
  const texts = [...answers, ...sent.map(({ data }) => data)].map((text) => text.replaceAll(",", ",\n"));
  expect(texts.map(leakIn)).toEqual(texts.map(() => undefined));
  expect(answers[1]).toContain("rtmp://live.example.com/app/***");
  expect(answers.at(-1)).toContain("rtmp://live.example.com/app/***");
});
