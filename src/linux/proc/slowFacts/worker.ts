import { errnoOf } from "../../../sys/errno.ts";
import { type Host, realHost } from "../../host.ts";
import { type FromReader, PROGRESS, type ToReader } from "./protocol.ts";
import { type Answer, performRead, type SlowRead } from "./slowFacts.ts";

declare const self: {
  onmessage: (message: { data: ToReader }) => void;
  postMessage(message: FromReader): void;
};

const realMachine = realHost();

self.onmessage = ({ data: { procRoot, reads, shared } }) => {
  const answers: FromReader = [];
  for (const [index, read] of reads.entries()) {
    if (Atomics.load(shared, PROGRESS.isAbandoned) !== 0) break;
    Atomics.store(shared, PROGRESS.current, index);
    answers.push(tryToRead({ ...realMachine, procRoot }, read));
  }
  Atomics.store(shared, PROGRESS.current, reads.length);
  self.postMessage(answers);
};

/** One fact that cannot be read must not end the thread. */
function tryToRead(host: Host, read: SlowRead): Answer | undefined {
  try {
    return performRead(host, read);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}
