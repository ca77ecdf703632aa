import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.ts";
import { type Sandbox, until } from "./sandbox.ts";

/** scripts/setup.sh takes them out of Debian's packages, which would also start a server. */
const CACHE = join(homedir(), ".cache/ffrtmp");
const NGINX = join(CACHE, "nginx");
const MODULE = join(CACHE, "ngx_rtmp_module.so");

export function lacksNginxRtmp(): string | undefined {
  return existsSync(NGINX) && existsSync(MODULE) ? undefined : "needs nginx with its RTMP module";
}

/** A media server on the loopback device, with the bytes that it counts itself. */
export interface MediaServer {
  readonly url: string;
  /** Returns the bytes of its RTMP connections that it has received and sent. */
  counts(): Promise<{ receivedBytes: number; sentBytes: number }>;
}

/** Starts nginx with a configuration of its own. It ends with the sandbox. */
export async function startNginxRtmp(sandbox: Sandbox): Promise<MediaServer> {
  const directory = sandbox.path("nginx");
  mkdirSync(directory);
  // Two ports that were free a moment ago; one that is taken meanwhile ends nginx, and the test.
  const [rtmp, http] = [freePort(), freePort()];
  const buffers = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${directory}/${name};`)
    .join(" ");
  const configuration = join(directory, "nginx.conf");
  writeFileSync(
    configuration,
    `load_module ${MODULE};
daemon off; master_process off; pid ${directory}/pid; error_log ${directory}/error.log;
events {}
rtmp { access_log off; server { listen 127.0.0.1:${rtmp}; application live { live on; } } }
http { access_log off; ${buffers} server { listen 127.0.0.1:${http}; location /stat { rtmp_stat all; } } }
`,
  );
  const child = sandbox.spawn([NGINX, "-p", directory, "-e", `${directory}/error.log`, "-c", configuration], {
    stdout: "ignore",
    stderr: "ignore",
  });
  const readStat = async () => (await fetch(`http://127.0.0.1:${http}/stat`)).text();
  await until("nginx answers", async () => {
    if (child.exitCode !== null) throw new Error(`nginx: ${await Bun.file(`${directory}/error.log`).text()}`);
    return (await readStat().catch(() => "")) !== "";
  });
  return {
    url: `rtmp://127.0.0.1:${rtmp}/live/stream`,
    async counts() {
      const text = await readStat();
      // The first ones are those of the whole server.
      const [receivedBytes, sentBytes] = ["bytes_in", "bytes_out"].map((name) =>
        Number(new RegExp(`<${name}>(\\d+)`).exec(text)?.[1]),
      ) as [number, number];
      return { receivedBytes, sentBytes };
    },
  };
}
