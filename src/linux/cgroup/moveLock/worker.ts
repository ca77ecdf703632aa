import { errnoOf } from "../../../sys/errno.ts";
import { realHost } from "../../host.ts";
import { STOP, type ToMoveLockWorker, warmUpMoveLock } from "./warmUp.ts";

declare const self: {
  onmessage: (message: { data: ToMoveLockWorker }) => void;
};

self.onmessage = ({ data: { requests, hierarchies } }) => {
  const host = realHost();
  for (let seen = 0; seen !== STOP; ) {
    Atomics.wait(requests, 0, seen);
    seen = Atomics.load(requests, 0);
    if (seen === STOP) return;
    try {
      warmUpMoveLock(host, hierarchies);
    } catch (error) {
      // Without the rights to warm the lock up, the move itself waits for it.
      if (errnoOf(error) === undefined) throw error;
    }
  }
};
