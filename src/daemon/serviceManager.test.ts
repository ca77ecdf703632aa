import { afterEach, expect, test } from "bun:test";
import { openSync } from "node:fs";
import { bindUnixDatagram, receiveUnixDatagram } from "../../test/support/unixReceiver.ts";
import { closeFd } from "../sys/descriptor.ts";
import { ServiceManager } from "./serviceManager.ts";

const name = `@ffrtmp-manager-${process.pid}`;
const opened: number[] = [];
afterEach(() => {
  for (const fd of opened.splice(0)) closeFd(fd);
});

function listen(): () => string[] {
  const receiver = bindUnixDatagram(name);
  opened.push(receiver);
  return () => {
    const texts: string[] = [];
    for (let next = receiveUnixDatagram(receiver); next; next = receiveUnixDatagram(receiver)) {
      opened.push(...next.descriptors);
      texts.push(`${next.text}${next.descriptors.length > 0 ? ` with ${next.descriptors.length}` : ""}`);
    }
    return texts;
  };
}

function openFile(): number {
  const fd = openSync("/dev/null", "r");
  opened.push(fd);
  return fd;
}

function manage(warnings: string[] = [], watchdogUsec?: number): ServiceManager {
  const variables = { notifySocket: name, watchdogUsec, storedFds: [] };
  return new ServiceManager(variables, (message) => warnings.push(message));
}

const job = (jobId: string) => ({ jobId, key: `key-of-${jobId}` });

test("a job's descriptor is stored once, and dropped once", () => {
  const read = listen();
  const service = manage();
  const fd = openFile();
  service.storePidfd(job("a"), fd);
  service.storePidfd(job("a"), fd);
  service.storePidfd(job("b"), fd);
  service.storePidfd(job("none"), undefined);
  service.dropPidfd(job("a"));
  service.dropPidfd(job("a"));
  service.dropAllExcept(new Map());
  expect(read()).toEqual([
    "FDSTORE=1\nFDPOLL=0\nFDNAME=a@key-of-a with 1",
    "FDSTORE=1\nFDPOLL=0\nFDNAME=b@key-of-b with 1",
    "FDSTOREREMOVE=1\nFDNAME=a@key-of-a",
    "FDSTOREREMOVE=1\nFDNAME=b@key-of-b",
  ]);
});

test("stored descriptors are received once and not sent again, and strange names are dropped", () => {
  const read = listen();
  const storedFds = [
    { name: "a@key-of-a", fd: 100 },
    { name: "stored", fd: 101 },
  ];
  const service = new ServiceManager({ notifySocket: name, watchdogUsec: undefined, storedFds }, () => {});
  expect(service.receiveStoredPidfds()).toEqual([
    { key: "key-of-a", fd: 100 },
    { key: undefined, fd: 101 },
  ]);
  expect(service.receiveStoredPidfds()).toEqual([]);
  service.storePidfd(job("a"), openFile());
  service.dropPidfd(job("a"));
  expect(read()).toEqual(["FDSTOREREMOVE=1\nFDNAME=stored", "FDSTOREREMOVE=1\nFDNAME=a@key-of-a"]);
});

test("a status is sent when it changes", () => {
  const read = listen();
  const service = manage();
  service.status("Governing 1 job");
  service.status("Governing 1 job");
  service.ready();
  service.reloading();
  service.stopping();
  const texts = read();
  expect(texts).toHaveLength(4);
  expect(texts.join(" ")).toMatch(
    /^STATUS=Governing 1 job READY=1 RELOADING=1\nMONOTONIC_USEC=\d+ STOPPING=1$/,
  );
});

test("the watchdog is reset only while the daemon is alive", async () => {
  const read = listen();
  const service = manage([], 2000);
  let isAlive = true;
  const end = service.startWatchdog(() => isAlive);
  while (read().length === 0) await Bun.sleep(1);
  isAlive = false;
  await Bun.sleep(5);
  read();
  await Bun.sleep(20);
  expect(read()).toEqual([]);
  isAlive = true;
  const texts: string[] = [];
  while (texts.length === 0) {
    texts.push(...read());
    await Bun.sleep(1);
  }
  expect(texts[0]).toBe("WATCHDOG=1");
  end();
});

test("a manager that reads late gets every message in order, and descriptors that were closed meanwhile", async () => {
  const read = listen();
  const service = manage();
  const jobs = Array.from({ length: 300 }, (_, index) => job(`j${index}`));
  for (const one of jobs) {
    const fd = openSync("/dev/null", "r");
    service.storePidfd(one, fd);
    closeFd(fd);
  }
  const texts: string[] = [];
  while (texts.length < jobs.length) {
    texts.push(...read());
    await Bun.sleep(5);
  }
  expect(texts).toEqual(jobs.map(({ jobId, key }) => `FDSTORE=1\nFDPOLL=0\nFDNAME=${jobId}@${key} with 1`));
});

test("a manager that does not listen causes one warning, and without a manager nothing is sent", () => {
  const warnings: string[] = [];
  const service = manage(warnings);
  service.ready();
  service.status("x");
  expect(warnings).toEqual([
    "cannot reach the service manager (ECONNREFUSED); governing continues without it",
  ]);
  const alone = new ServiceManager(
    { notifySocket: undefined, watchdogUsec: 2000, storedFds: [] },
    (message) => warnings.push(message),
  );
  alone.ready();
  alone.storePidfd(job("a"), 1);
  alone.startWatchdog(() => true)();
  expect(warnings).toHaveLength(1);
});
