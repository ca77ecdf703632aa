import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { Refusal } from "../../jobs/errors.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { describeErrno, errnoOf } from "../../sys/errno.ts";
import { lockFile, waitForLock } from "../../sys/fileLock.ts";
import { makeAuthority } from "../keys/authority.ts";
import { createNKey, type NKey } from "../keys/nkey.ts";
import { readSecret, writePrivate } from "../keys/privateFile.ts";
import { createSigningKey, type SigningKey, signingKeyOf } from "../keys/signingKey.ts";
import { type HubAddress, hubUrl } from "./address.ts";
import { HUB_FILES, usersConfig } from "./serverConfig.ts";
import { keepFirstConfig, makeCertificates, serverDirectories, writeServers } from "./serverFiles.ts";
import { StreamTransfer } from "./transfer.ts";

/** The operator's files. Those of the hub are in a directory of their own, which alone goes to another machine. */
const FILES = {
  fleet: "fleet.json",
  admin: "admin.nk",
  authority: "ca.pem",
  authorityKey: "ca-key.pem",
  policy: "policy.nk",
  jobs: "jobs.nk",
  lock: "lock",
  hub: "hub",
  transfer: "transfer",
  closing: "closing.json",
} as const;

// {"v": 1, "hub": {"host": "hub.example.net", "port": 4222}, "admin": "UA…", "nodes": {"edge-1": {"nkey": "UB…", "since": "…", "pools": ["live"]}}}
const fleetFile = z.object({
  v: z.literal(1),
  hub: z.object({ host: z.string(), port: z.number() }),
  /** The other servers of the hub. */
  servers: z.array(z.object({ host: z.string(), port: z.number() })).default([]),
  admin: z.string(),
  nodes: z.record(
    z.string(),
    z.object({
      nkey: z.string(),
      since: z.iso.datetime(),
      /** The pools whose jobs it may claim. */
      pools: z.array(z.string()).default([]),
    }),
  ),
  probes: z.array(z.string()).default([]),
  /** Since when no node may take jobs out of a queue, because the hub is restored from a backup; `null`: they may. */
  closed: z.iso.datetime().nullable().default(null),
});

/** The closing of the queues before a hub grows, and the key of the user that was made with it. */
const closingFile = z.object({ closed: z.iso.datetime(), seed: z.string(), publicKey: z.string() });

/** Commands that run at once each wait for their own version of the users to be read, or for a later one. */
const MAX_PROBES = 16;

/**
 * The two keys of the operator that sign: one policies and what nodes are asked to do, the other one jobs. They are apart, so
 * that who submits jobs cannot change how machines are governed.
 */
export type SigningPurpose = "policy" | "jobs";

export type Fleet = z.infer<typeof fleetFile>;

/** Returns the addresses of all servers of a hub. */
export function serversOf({ hub, servers }: Fleet): HubAddress[] {
  return [hub, ...servers];
}

/** Returns the names of the pools that nodes of a fleet are in, sorted. */
export function poolsOf({ nodes }: Fleet): string[] {
  return [...new Set(Object.values(nodes).flatMap(({ pools }) => pools))].sort();
}

/** Returns the directory of the operator's files: the one named, that of FFRTMP_FLEET, or ~/.config/ffrtmp/fleet. */
export function locateFleet(
  named: string | undefined,
  env: Record<string, string | undefined> = process.env,
): string {
  const config = env["XDG_CONFIG_HOME"] || join(homedir(), ".config");
  return named ?? (env["FFRTMP_FLEET"] || join(config, "ffrtmp", "fleet"));
}

/** The keys, certificates and users of one fleet, on the operator's machine. */
export class FleetDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The directory in which nats-server is started. */
  get hub(): string {
    return this.#file("hub");
  }

  get exists(): boolean {
    return existsSync(this.#file("fleet"));
  }

  /** The files with the users, one for each server of the hub. */
  get usersFiles(): string[] {
    return this.serverDirectories.map((path) => join(path, HUB_FILES.users));
  }

  /** The directories of all servers of a hub, the one of the first server first. */
  get serverDirectories(): string[] {
    return serverDirectories(this.hub, serversOf(this.read()).length);
  }

  /**
   * Makes the keys, certificates and configuration of a new fleet, whose hub has these servers. Throws a Refusal; then nothing has
   * changed.
   */
  create(addresses: readonly [HubAddress, ...HubAddress[]]): void {
    if (this.exists)
      throw new Refusal(
        `${this.path} already has the keys of a fleet, whose hub is ${hubUrl(this.read().hub)}`,
        "for another fleet, name another directory: ffrtmp fleet init --dir DIR HUB",
      );
    // Before anything is written: these can fail.
    const authority = makeAuthority();
    const servers = makeCertificates(authority, addresses);
    const admin = createNKey();
    this.#change(() => {
      writePrivate(this.#file("authorityKey"), authority.key);
      writePrivate(this.#file("authority"), authority.certificate);
      writePrivate(this.#file("admin"), `${admin.seed}\n`);
      for (const purpose of ["policy", "jobs"] as const)
        writePrivate(this.#file(purpose), `${createSigningKey().seed}\n`);
      writeServers(this.hub, addresses, servers, authority.certificate);
      // Last, because it is what makes a fleet of the directory.
      const [hub, ...rest] = addresses;
      this.#writeFleet({
        v: 1,
        hub,
        servers: rest,
        admin: admin.publicKey,
        nodes: {},
        probes: [],
        closed: null,
      });
    }, true);
  }

  /** Throws a Refusal where the hub cannot become one with these servers. */
  checkGrowth(addresses: readonly [HubAddress, ...HubAddress[]]): void {
    const { hub, servers } = this.read();
    if (servers.length > 0)
      throw new Refusal(`the hub of this fleet has ${servers.length + 1} servers already`);
    const url = hubUrl(hub);
    if (hubUrl(addresses[0]) !== url)
      throw new Refusal(
        `the first server is the one that nodes know: ${url}, and not ${hubUrl(addresses[0])}`,
        `ffrtmp fleet grow ${url.replace("tls://", "")},SECOND,THIRD`,
      );
    if (addresses.length === 1)
      throw new Refusal("no further server is named", "name three servers, or five");
  }

  /** The streams of a hub, saved before it grows. */
  get transfer(): StreamTransfer {
    return new StreamTransfer(this.#file("transfer"));
  }

  /** What a hub that has grown is still to get; `undefined`: nothing. */
  get pendingTransfer(): StreamTransfer | undefined {
    return this.read().servers.length > 0 && this.transfer.exists ? this.transfer : undefined;
  }

  /** Makes the hub one with these servers, after its streams were saved. The only server before gets another directory of data. */
  grow(addresses: readonly [HubAddress, ...HubAddress[]]): { keptConfig: string } {
    this.checkGrowth(addresses);
    const [certificate, key] = [this.authority(), readFile(this.#file("authorityKey"), readSecret)];
    const certificates = makeCertificates({ certificate, key }, addresses);
    return this.#change(() => {
      const keptConfig = keepFirstConfig(this.hub);
      writeServers(this.hub, addresses, certificates, certificate, HUB_FILES.dataOfMany);
      const [hub, ...servers] = addresses;
      const closed = new Date().toISOString();
      const probe = createNKey();
      // First: from the next line on, the hub is to get what was saved.
      this.transfer.probe = probe.seed;
      this.#writeFleet({ ...this.read(), hub, servers, closed }, probe);
      rmSync(this.#file("closing"), { force: true });
      return { keptConfig };
    });
  }

  /** Throws a Refusal where there is no fleet, or none that this release can read. */
  read(): Fleet {
    const file = this.#file("fleet");
    try {
      return fleetFile.parse(JSON.parse(readFileSync(file, "utf8")));
    } catch (error) {
      if (errnoOf(error) === "ENOENT")
        throw new Refusal(
          `there is no fleet in ${this.path}`,
          "ffrtmp fleet init HUB, or name the directory of your fleet with --dir",
        );
      const reason =
        errnoOf(error) === undefined ? "it was not written by this release" : describeErrno(error);
      throw new Refusal(`cannot read ${file}: ${reason}`);
    }
  }

  /**
   * Adds a node with a new key; a node of that name loses its old one if `isRenewed`, and keeps its pools unless others are
   * given. Returns both keys: see `#writeFleet`.
   */
  addNode(
    node: string,
    { isRenewed = false, pools }: { isRenewed?: boolean; pools?: readonly string[] | undefined } = {},
  ): { key: NKey; pools: readonly string[]; probe: NKey } {
    const key = createNKey();
    return this.#change(() => {
      const fleet = this.read();
      if (Object.hasOwn(fleet.nodes, node) && !isRenewed)
        throw new Refusal(
          `the fleet already has a node ${node}`,
          `for a new key, after which the old one is no longer valid: ffrtmp fleet invite ${node} --renew`,
        );
      const since = new Date().toISOString();
      const before = Object.hasOwn(fleet.nodes, node) ? (fleet.nodes[node]?.pools ?? []) : [];
      const ofNode = { nkey: key.publicKey, since, pools: [...new Set(pools ?? before)] };
      const probe = this.#writeFleet({ ...fleet, nodes: { ...fleet.nodes, [node]: ofNode } });
      return { key, pools: ofNode.pools, probe };
    });
  }

  /** Removes a node. Throws a Refusal for a name that no node has. */
  removeNode(node: string): { probe: NKey } {
    const probe = this.#change(() => {
      const fleet = this.read();
      const { [node]: _, ...nodes } = fleet.nodes;
      // Each object has a `constructor`, which can be the name of a node.
      if (!Object.hasOwn(fleet.nodes, node)) {
        throw unknownNode(node, Object.keys(nodes));
      }
      return this.#writeFleet({ ...fleet, nodes });
    });
    return { probe };
  }

  /** Closes the queues of all pools, or opens them. Returns the key of a user for one look: see `#writeFleet`. */
  setClosed(closed: Date | null): NKey {
    return this.#change(() => this.#writeFleet({ ...this.read(), closed: closed?.toISOString() ?? null }));
  }

  /**
   * Closes the queues before the hub grows. Until they are opened or closed otherwise, each call returns the same key: a hub that runs
   * as a service reads the users after the first call has ended.
   */
  closeForGrowth(): Pick<NKey, "seed"> {
    return this.#change(() => {
      const fleet = this.read();
      const last = this.#lastClosing();
      if (last?.closed === fleet.closed && fleet.probes.includes(last.publicKey)) {
        this.#writeUsers(fleet);
        return last;
      }
      const [closed, probe] = [new Date().toISOString(), createNKey()];
      writePrivate(this.#file("closing"), JSON.stringify({ closed, ...probe }));
      return this.#writeFleet({ ...fleet, closed }, probe);
    });
  }

  #lastClosing(): z.infer<typeof closingFile> | undefined {
    const file = this.#file("closing");
    return existsSync(file) ? closingFile.parse(JSON.parse(readFile(file, readSecret))) : undefined;
  }

  /** The certificate of the fleet's authority, as PEM. */
  authority(): string {
    return readFile(this.#file("authority"));
  }

  adminSeed(): string {
    return readFile(this.#file("admin"), readSecret).trim();
  }

  /**
   * Returns the key that signs, from the fleet's files or from `file`, such as one on a removable disk. Throws a Refusal for the
   * fleet's key of the other purpose: nodes would not accept what it signs.
   */
  signingKey(purpose: SigningPurpose, file?: string): SigningKey {
    const path = file ?? this.#file(purpose);
    const key = signingKeyOf(readFile(path, readSecret).trim());
    if (key === undefined) throw new Refusal(`${path} has no signing key: expected the seed of one (SO…)`);
    const other = purpose === "jobs" ? "policy" : "jobs";
    const isOther =
      file !== undefined &&
      existsSync(this.#file(other)) &&
      readFile(this.#file(other), readSecret).trim() === key.seed;
    if (isOther)
      throw new Refusal(
        `${path} is the key that signs ${other === "jobs" ? "jobs" : "policies"}: nodes trust it for nothing else`,
        `name no file, for the fleet's own: ${this.#file(purpose)}`,
      );
    return key;
  }

  /**
   * Writes the fleet and the users of its server. The returned key is that of a user without any right, made for this version
   * of the file: a server that accepts it has read this version, or a later one, which keeps the last of these users.
   */
  #writeFleet(fleet: Fleet, probe = createNKey()): NKey {
    const probes = [probe.publicKey, ...fleet.probes].slice(0, MAX_PROBES);
    // The fleet first: the users are made from it, and again by the next change.
    writePrivate(this.#file("fleet"), `${JSON.stringify({ ...fleet, probes }, undefined, 2)}\n`);
    this.#writeUsers({ ...fleet, probes });
    return probe;
  }

  #writeUsers(fleet: Fleet): void {
    const { admin, probes, closed } = fleet;
    const nodes = new Map(Object.entries(fleet.nodes));
    const users = usersConfig({ admin, probes, nodes, isClosed: closed !== null });
    for (const path of serverDirectories(this.hub, serversOf(fleet).length))
      writePrivate(join(path, HUB_FILES.users), users);
  }

  /** Makes a change while no other command makes one. `isNew`: it makes the fleet. */
  #change<T>(change: () => T, isNew = false): T {
    // Where there is no fleet, this says so before anything is created.
    if (!isNew) this.read();
    try {
      mkdirSync(this.path, { mode: 0o700, recursive: true });
      const lock = waitForLock(() => lockFile(this.#file("lock")));
      if (lock === "locked")
        throw new Refusal(`another ffrtmp is changing the fleet in ${this.path}`, "try again");
      if (typeof lock === "object") throw new Refusal(`cannot change the fleet: ${lock.reason}`);
      try {
        return change();
      } finally {
        closeFd(lock);
      }
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      throw new Refusal(`cannot write the fleet in ${this.path}: ${describeErrno(error)}`);
    }
  }

  #file(name: keyof typeof FILES): string {
    return join(this.path, FILES[name]);
  }
}

function readFile(path: string, read = (file: string) => readFileSync(file, "utf8")): string {
  try {
    return read(path);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw new Refusal(`cannot read ${path}: ${describeErrno(error)}`);
  }
}

const MAX_NAMED = 20;

/** Returns a Refusal that names the nodes of a fleet, or the first of them. */
export function unknownNode(node: string, names: readonly string[]): Refusal {
  const more = names.length > MAX_NAMED ? `, and ${names.length - MAX_NAMED} more: ffrtmp fleet ps` : "";
  const hint =
    names.length === 0
      ? "ffrtmp fleet invite NODE"
      : `its nodes are: ${names.slice(0, MAX_NAMED).join(", ")}${more}`;
  return new Refusal(`the fleet has no node ${node || JSON.stringify(node)}`, hint);
}
