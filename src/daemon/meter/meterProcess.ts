import { homedir } from "node:os";
import { closeFd, closeOnExec } from "../../sys/descriptor.ts";
import { errnoName } from "../../sys/errno.ts";
import { closePipe, createPipe, type Pipe } from "../../sys/pipe.ts";
import { startProcess } from "../../sys/scheduling.ts";

/** The variable with which this process names its meter to the program that it executes next. */
const VARIABLE = "FFRTMP_METER";
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A meter that runs, and this process's ends of the pipes to and from it. */
export interface MeterProcess {
  readonly pid: number;
  readonly requestFd: number;
  readonly answerFd: number;
}

/**
 * Starts the meter. Call it before this process gives up its capabilities and installs the signal filter, both of which the
 * meter would inherit. Returns why it cannot be started.
 */
export function startMeter(command: readonly string[]): MeterProcess | { reason: string } {
  const pipes: Pipe[] = [];
  for (let count = 0; count < 2; count++) {
    const pipe = createPipe();
    if (typeof pipe === "object") {
      pipes.push(pipe);
      continue;
    }
    for (const each of pipes) closePipe(each);
    return { reason: `pipe2: ${errnoName(pipe)}` };
  }
  const [requests, answers] = pipes as [Pipe, Pipe];
  try {
    const child = startProcess(() =>
      Bun.spawn({
        cmd: [...command],
        stdio: [requests.readFd, answers.writeFd, "ignore"],
        cwd: "/",
        env: { PATH, HOME: homedir() },
        // Its own session: Ctrl-C in the terminal of the daemon does not end it.
        detached: true,
      }),
    );
    // This process may execute another program, and must not wait for the meter at its end.
    child.unref();
    return { pid: child.pid, requestFd: requests.writeFd, answerFd: answers.readFd };
  } catch (error) {
    for (const fd of [requests.writeFd, answers.readFd]) closeFd(fd);
    return { reason: error instanceof Error ? error.message : String(error) };
  } finally {
    for (const fd of [requests.readFd, answers.writeFd]) closeFd(fd);
  }
}

/** Returns the descriptors and the variable by which the next program of this process takes the meter over. */
export function handOverMeter({ pid, requestFd, answerFd }: MeterProcess) {
  return { fds: [requestFd, answerFd], variables: [`${VARIABLE}=${pid} ${requestFd} ${answerFd}`] };
}

/** Returns the meter that the earlier program of this process has started, once. */
export function takeOverMeter(environment: NodeJS.ProcessEnv): MeterProcess | undefined {
  const words = /^(\d+) (\d+) (\d+)$/.exec(environment[VARIABLE] ?? "");
  delete environment[VARIABLE];
  if (words === null) return undefined;
  const [pid, requestFd, answerFd] = words.slice(1).map(Number) as [number, number, number];
  for (const fd of [requestFd, answerFd]) closeOnExec(fd);
  return { pid, requestFd, answerFd };
}
