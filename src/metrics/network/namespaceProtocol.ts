/** A request to the thread: open a socket in the network namespace with this path, as /proc/PID/ns/net. */
export interface ToNamespaceWorker {
  id: number;
  path: string;
}

/** `fd`: the socket, or −errno. */
export interface FromNamespaceWorker {
  id: number;
  fd: number;
}
