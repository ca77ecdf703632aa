import type { Host } from "../../linux/host.ts";
import { readLink } from "../../linux/proc/table.ts";
import { closeSockDiag, openSockDiag } from "../../sys/sockDiag.ts";
import type { FromNamespaceWorker, ToNamespaceWorker } from "./namespaceProtocol.ts";

/** In the single-file executable, module paths are relative to the common root of its entry points, src/. */
const WORKER_URL = import.meta.url.startsWith("file:///$bunfs/")
  ? "file:///$bunfs/root/metrics/network/namespaceWorker.ts"
  : new URL("./namespaceWorker.ts", import.meta.url).href;

const NO_SUCH_PROCESS = -3;

/** Returns the name of the network namespace of a process, such as `net:[4026531840]`; `undefined`: not visible. */
export function networkNamespaceOf(host: Host, pid: number | "self"): string | undefined {
  return readLink(host, `${pid}/ns/net`);
}

/**
 * Sockets for questions to the kernel, one in each network namespace. The one for another namespace is opened in a thread
 * that enters it: this needs CAP_SYS_ADMIN. An open socket keeps its namespace alive, so sockets that are not needed any
 * more must be closed.
 */
export class NamespaceSockets {
  readonly #host: Host;
  /** By the name of the namespace. A negative number: it cannot be entered. */
  readonly #sockets = new Map<string, number>();
  readonly #waiting = new Map<number, (fd: number) => void>();
  #worker: Worker | undefined;
  #lastId = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Returns the socket in a network namespace, if it is open. */
  get(namespace: string): number | undefined {
    const fd = this.#sockets.get(namespace);
    return fd === undefined || fd < 0 ? undefined : fd;
  }

  /** Returns a socket in the network namespace of a process, or −errno. */
  async open(namespace: string, pid: number): Promise<number> {
    const known = this.#sockets.get(namespace);
    if (known !== undefined) return known;
    const isOwn = namespace === networkNamespaceOf(this.#host, "self");
    const fd = isOwn ? openSockDiag() : await this.#openElsewhere(pid);
    // The process may have ended meanwhile, and its pid may be in use in another namespace.
    if (!isOwn && fd >= 0 && networkNamespaceOf(this.#host, pid) !== namespace) {
      closeSockDiag(fd);
      return NO_SUCH_PROCESS;
    }
    this.#sockets.set(namespace, fd);
    return fd;
  }

  /** Closes the sockets in all other namespaces. */
  closeExcept(namespaces: ReadonlySet<string>): void {
    for (const [namespace, fd] of this.#sockets) {
      if (namespaces.has(namespace)) continue;
      if (fd >= 0) closeSockDiag(fd);
      this.#sockets.delete(namespace);
    }
  }

  close(): void {
    this.closeExcept(new Set());
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  #openElsewhere(pid: number): Promise<number> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      const request: ToNamespaceWorker = { id, path: `${this.#host.procRoot}/${pid}/ns/net` };
      this.#thread().postMessage(request);
    });
  }

  #thread(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(WORKER_URL, { smol: true, name: "ffrtmp network namespaces" });
    worker.onmessage = ({ data: { id, fd } }: { data: FromNamespaceWorker }) => {
      this.#waiting.get(id)?.(fd);
      this.#waiting.delete(id);
    };
    worker.onerror = () => {
      for (const resolve of this.#waiting.values()) resolve(NO_SUCH_PROCESS);
      this.#waiting.clear();
      this.#worker = undefined;
    };
    this.#worker = worker;
    return worker;
  }
}
