import { expect } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { FFRTMP, lacksRoot, testIf, until, useSandbox } from "../support/sandbox.ts";
import { startDaemon } from "../support/watchDaemon.ts";

// `ffrtmp exec` in a job of Debian's cron, as in docs/schedulers.md.

const sandbox = useSandbox();
/** scripts/setup.sh takes it out of Debian's package, which would also start it. */
const CRON = join(homedir(), ".cache/ffrtmp/cron");
const cronTest = testIf((existsSync(CRON) ? undefined : "needs cron") ?? lacksRoot());

/** In a mount namespace of its own, cron has no table of this machine, and the directories that are compiled into it are empty. */
const START = `mount --make-rprivate / || exit
  for each in /run /var/spool /etc/cron.d; do [ ! -d $each ] || mount -t tmpfs none $each || exit; done
  [ ! -e /etc/crontab ] || mount --bind /dev/null /etc/crontab || exit
  mkdir -p /var/spool/cron/crontabs && install -m 600 "$1" /var/spool/cron/crontabs/root && exec "$2" -f`;

cronTest("a job of cron that becomes its workload is what cron started, with its exit code", async () => {
  await startDaemon(sandbox());
  const [table, output] = [sandbox().path("table"), sandbox().path("output")];
  const wrappers = `flock -n ${sandbox().path("lock")} timeout 1h`;
  const exec = `${wrappers} ${FFRTMP} exec --state-path ${sandbox().state} --job-id nightly --pids-max 50 -- sh -c 'echo $$; exit 3'`;
  // @reboot: at the start of cron, because each minute is too late for a test.
  writeFileSync(
    table,
    `@reboot ${exec} >${output}.new; echo $? >>${output}.new; mv ${output}.new ${output}\n`,
  );
  sandbox().spawn(["unshare", "--mount", "sh", "-c", START, "sh", table, CRON], {
    stdout: "ignore",
    stderr: "ignore",
  });
  await until("the job of cron has ended", () => existsSync(output));
  const [pid, code] = readFileSync(output, "utf8").trim().split("\n").map(Number);
  expect(code).toBe(3);
  expect(await sandbox().resultOf("nightly")).toMatchObject({ pid, ending: "exited", exit_code: 3 });
  expect(sandbox().cgroups()).toEqual([]);
});
