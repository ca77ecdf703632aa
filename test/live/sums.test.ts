import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { lacksNginxRtmp, startNginxRtmp } from "../support/nginxRtmp.ts";
import { eventually, lacksCommand, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const TIME = "/usr/bin/time";
const timeTest = testIf(lacksLimits() ?? lacksCommand("ffmpeg") ?? lacksCommand(TIME));
const nginxTest = testIf(lacksCommand("ffmpeg") ?? lacksNginxRtmp());

/** Expects that a number differs from what another program measured by this part of it at most. */
function expectWithin(part: number, shown: number, true_: number, of: string): void {
  expect(Math.abs(shown / true_ - 1), `${of}: ${shown}, true ${true_}`).toBeLessThan(part);
}

timeTest("the CPU time and the duration of a job are those that time(1) measures", async () => {
  const report = sandbox().path("time");
  const encode = "ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x240 -t 150 -c:v mpeg2video -f null -";
  const command = [TIME, "-v", "-o", report, ...encode.split(" ")];
  const { code } = await sandbox().run(["run", "--job-id", "timed", "--pids-max", "100", "--", ...command]);
  expect(code).toBe(0);
  const result = await sandbox().resultOf("timed");
  const timed = readFileSync(report, "utf8");
  const secondsOf = (name: string) => Number(new RegExp(`${name} \\(seconds\\): ([\\d.]+)`).exec(timed)?.[1]);
  const { cpu_user_seconds: user, cpu_system_seconds: system } = result.usage;
  expectWithin(0.05, user + system, secondsOf("User time") + secondsOf("System time"), "CPU time");
  const [, minutes, seconds] = /Elapsed .*: (\d+):([\d.]+)/.exec(timed) ?? [];
  // The job also starts and ends time(1), and time(1) counts hundredths of a second.
  const elapsed = 60 * Number(minutes) + Number(seconds);
  expect(result.processing_seconds).toBeGreaterThan(elapsed - 0.02);
});

nginxTest("the bytes that jobs send and receive are those that a media server counts", async () => {
  const server = await startNginxRtmp(sandbox());
  const publish = `ffmpeg -nostdin -v error -re -f lavfi -i testsrc2=s=160x120 -c:v flv1 -b:v 1M -f flv ${server.url}`;
  const publisher = await sandbox().startJob("publisher", [], publish.split(" "));
  const play = `ffmpeg -nostdin -v error -i ${server.url} -c copy -f null -`;
  await sandbox().startJob("player", [], play.split(" "));
  const enough = 500_000;
  await until("much is sent and received", async () => {
    const { receivedBytes, sentBytes } = await server.counts();
    return receivedBytes > enough && sentBytes > enough;
  });
  // The publisher of this test is stopped, so that no counter changes.
  process.kill(publisher.pid, "SIGSTOP");
  const counts = await eventually("the counters stand still", async () => {
    const before = await server.counts();
    await Bun.sleep(200);
    return Bun.deepEquals(before, await server.counts()) ? before : undefined;
  });
  const networkOf = async (jobId: string) => {
    const { stdout } = await sandbox().run(["stats", "--once", "--json", jobId]);
    return JSON.parse(stdout).network;
  };
  expectWithin(0.02, (await networkOf("publisher")).tcp_sent_bytes, counts.receivedBytes, "sent");
  expectWithin(0.02, (await networkOf("player")).tcp_received_bytes, counts.sentBytes, "received");
});
