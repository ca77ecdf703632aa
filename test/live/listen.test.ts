import { expect } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { freePort } from "../support/ports.ts";
import { lacksPromtool, PROMTOOL } from "../support/promtool.ts";
import { lacksCommand, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const anyTest = testIf(undefined);
const limitsTest = testIf(lacksLimits());

const promtoolTest = testIf(lacksLimits() ?? lacksPromtool());
const tlsTest = testIf(lacksCommand("openssl"));

/** Starts a `watch` that finds nothing, and returns its address. `authorization`: what it asks for. */
async function listen(args: string[] = [], scheme = "http", authorization = "none"): Promise<string> {
  const port = freePort();
  const own = ["--listen", `127.0.0.1:${port}`, ...args];
  sandbox().start(["watch", "--target", "no-such-program", "--events", "polling", ...own]);
  const url = `${scheme}://127.0.0.1:${port}`;
  const options = { tls: { rejectUnauthorized: false }, headers: { authorization } };
  await until("it answers", async () => {
    const response = await fetch(`${url}/metrics`, options).catch(() => undefined);
    return response?.status === 200;
  });
  return url;
}

limitsTest("metrics count the jobs that a watch observes, and those that have ended", async () => {
  const url = await listen();
  const text = async () => (await fetch(`${url}/metrics`)).text();
  expect(await text()).toContain("ffrtmp_sla_judged_total 0\n");
  const { pid, wrapper } = await sandbox().startJob(
    "live",
    ["--pids-max", "10", "--tenant", "acme"],
    ["sleep", "600"],
  );
  // The watch takes over the jobs of an observer that has died.
  wrapper.kill("SIGKILL");
  await until("the job is observed", async () =>
    (await text()).includes('ffrtmp_jobs{mode="run",tenant="acme"} 1\n'),
  );
  await until("the job is measured", async () =>
    (await text()).includes('ffrtmp_job_processes{job_id="live"} 1\n'),
  );
  expect(await text()).toMatch(/^ffrtmp_job_memory_bytes\{job_id="live"\} [1-9]\d+$/m);
  expect(await text()).toContain(
    'ffrtmp_job_info{job_id="live",mode="run",tenant="acme",command="sleep",scheduler="",scheduler_id="",kind=""} 1\n',
  );
  process.kill(pid, "SIGKILL");
  await until("its end is counted", async () => (await text()).includes("ffrtmp_sla_judged_total 1\n"));
  expect(await text()).toMatch(
    /^ffrtmp_jobs_ended_total\{mode="run",outcome="(killed|unknown)",evidence="[\w-]+"\} 1$/m,
  );
  expect(await text()).not.toContain("ffrtmp_jobs{");
  // Its counters stay for the next scrapes.
  expect(await text()).not.toContain('ffrtmp_job_processes{job_id="live"}');
  expect(await text()).toContain('ffrtmp_job_oom_kills_total{job_id="live"}');
});

promtoolTest("promtool accepts the metrics, in both formats", async () => {
  const url = await listen();
  const { wrapper } = await sandbox().startJob("job-1", ["--cpu-quota", "20"], ["sleep", "600"]);
  wrapper.kill("SIGKILL");
  const job = async () => (await fetch(`${url}/metrics`)).text();
  await until("a job is measured", async () => (await job()).includes("ffrtmp_job_cpu_periods_total"));
  const prometheus = await fetch(`${url}/metrics`);
  expect(prometheus.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  const checked = Bun.spawnSync([PROMTOOL, "check", "metrics"], {
    stdin: Buffer.from(await prometheus.text()),
  });
  expect({ code: checked.exitCode, text: String(checked.stderr) + String(checked.stdout) }).toEqual({
    code: 0,
    text: "",
  });
  const headers = { accept: "application/openmetrics-text; version=1.0.0" };
  const open = await fetch(`${url}/metrics`, { headers });
  expect(open.headers.get("content-type")).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
  expect(await open.text()).toEndWith("# EOF\n");
});

anyTest(
  "only names of this machine are answered, only readers, and nothing is executed or cached",
  async () => {
    const url = await listen();
    const ask = (path: string, init: RequestInit = {}) => fetch(`${url}${path}`, init);
    const ok = await ask("/metrics", { headers: { "accept-encoding": "gzip" } });
    expect(ok.status).toBe(200);
    expect(ok.headers.get("content-encoding")).toBe("gzip");
    expect(ok.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(ok.headers.get("access-control-allow-origin")).toBeNull();
    expect(ok.headers.get("cache-control")).toBe("no-store");
    for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:9797"])
      expect((await ask("/metrics", { headers: { host } })).status).toBe(403);
    for (const host of ["localhost", "LOCALHOST:9797", "[::1]:9797"])
      expect((await ask("/metrics", { headers: { host } })).status).toBe(200);
    expect((await ask("/metrics", { method: "DELETE" })).status).toBe(405);
    expect((await ask("/metrics", { method: "POST", body: "x".repeat(100_000) })).status).toBe(413);
    expect((await ask("/../../etc/passwd")).status).toBe(404);
    expect((await ask("/metrics", { method: "HEAD" })).status).toBe(200);
  },
);

tlsTest("with a token and a certificate, only requests with the token are answered", async () => {
  const [key, cert, token] = ["key.pem", "cert.pem", "token"].map((name) => sandbox().path(name)) as [
    string,
    string,
    string,
  ];
  const subject = [
    "-subj",
    "/CN=localhost",
    "-days",
    "1",
    "-nodes",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
  ];
  const made = Bun.spawnSync(["openssl", "req", "-x509", ...subject, "-keyout", key, "-out", cert]);
  expect(made.exitCode).toBe(0);
  writeFileSync(token, "correct-horse-battery-staple\n", { mode: 0o600 });
  const files = ["--token-file", token, "--tls-cert", cert, "--tls-key", key];
  const url = await listen(files, "https", "Bearer correct-horse-battery-staple");
  const status = async (authorization?: string) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    return (
      await fetch(`${url}/metrics`, { headers, tls: { ca: readFileSync(cert), rejectUnauthorized: false } })
    ).status;
  };
  expect(await status()).toBe(401);
  expect(await status("Bearer wrong-horse-battery-staple")).toBe(401);
  expect(await status("Basic correct-horse-battery-staple")).toBe(401);
  expect(await status("Bearer correct-horse-battery-staple")).toBe(200);
});

anyTest(
  "an address that others can reach is refused without a token and encryption, as are faulty files",
  async () => {
    const [token, short] = [sandbox().path("token"), sandbox().path("short")];
    writeFileSync(token, "correct-horse-battery-staple");
    writeFileSync(short, "short", { mode: 0o600 });
    const refusal = async (...args: string[]) => {
      const { code, stderr } = await sandbox().run(["watch", "--target", "no-such-program", ...args]);
      expect(code).toBe(2);
      return stderr;
    };
    const loopback = ["--listen", "127.0.0.1:9797"];
    expect(await refusal("--listen", "0.0.0.0:9797")).toContain("other machines can reach 0.0.0.0");
    expect(await refusal("--listen", "[::]:9797", "--token-file", token)).toContain(
      "add --token-file, --tls-cert and --tls-key",
    );
    expect(await refusal("--listen", "metrics")).toContain("--listen metrics is not an address");
    expect(await refusal("--token-file", token)).toContain("add --listen ADDRESS:PORT");
    expect(await refusal(...loopback, "--tls-cert", token)).toContain(
      "encryption needs a certificate and its private key",
    );
    expect(await refusal(...loopback, "--token-file", short)).toContain("shorter than 16 characters");
    writeFileSync(short, "корректная-лошадь");
    expect(await refusal(...loopback, "--token-file", short)).toContain(
      "that no client can send in a header",
    );
    chmodSync(token, 0o644);
    expect(await refusal(...loopback, "--token-file", token)).toContain(`chmod 600 ${token}`);
    expect(await refusal(...loopback, "--token-file", `${token}-missing`)).toContain("ENOENT");
  },
);

anyTest("a port that is in use is refused before anything is governed", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  try {
    const own = ["watch", "--target", "no-such-program", "--listen", `127.0.0.1:${port}`];
    const { code, stderr } = await sandbox().run(own);
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`cannot listen on http://127.0.0.1:${port}`),
    });
  } finally {
    server.close();
  }
});
