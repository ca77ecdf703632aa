import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal } from "../../jobs/errors.ts";

/** A certificate and its private key, both as PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/**
 * A certificate that expires cuts all nodes off at once, and nothing outside of the fleet trusts this authority: ten years.
 */
const DAYS = "3650";
const CURVE = ["-pkeyopt", "ec_paramgen_curve:prime256v1"];

/** Makes the certificate authority of a fleet. It signs the certificates of the fleet's own servers, and nothing else. */
export function makeAuthority(): Certificate {
  return withOpenssl("ffrtmp fleet authority", [], (openssl) => {
    openssl.run("genpkey", "-algorithm", "EC", ...CURVE, "-out", "key.pem");
    const request = [
      "-config",
      "openssl.cnf",
      "-sha256",
      "-days",
      DAYS,
      "-key",
      "key.pem",
      "-out",
      "cert.pem",
    ];
    openssl.run("req", "-new", "-x509", "-extensions", "authority", ...request);
    return { certificate: openssl.read("cert.pem"), key: openssl.read("key.pem") };
  });
}

/**
 * Makes the certificate of a server. `hosts`: the names and addresses by which clients connect to it, without characters
 * that have a meaning in a configuration of openssl.
 */
export function makeServerCertificate(authority: Certificate, hosts: readonly string[]): Certificate {
  return withOpenssl("ffrtmp fleet hub", hosts, (openssl) => {
    openssl.write("ca.pem", authority.certificate);
    openssl.write("ca-key.pem", authority.key);
    openssl.run("genpkey", "-algorithm", "EC", ...CURVE, "-out", "key.pem");
    openssl.run("req", "-new", "-config", "openssl.cnf", "-sha256", "-key", "key.pem", "-out", "request.pem");
    const signed = [
      "-in",
      "request.pem",
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca-key.pem",
      "-set_serial",
      randomSerial(),
    ];
    const extensions = ["-extfile", "openssl.cnf", "-extensions", "server"];
    openssl.run("x509", "-req", ...signed, "-sha256", "-days", DAYS, ...extensions, "-out", "cert.pem");
    return { certificate: openssl.read("cert.pem"), key: openssl.read("key.pem") };
  });
}

/** Returns what openssl would otherwise take from the system's configuration, which differs between distributions. */
function configuration(name: string, hosts: readonly string[]): string {
  return `[req]
distinguished_name = name
prompt = no
[name]
CN = ${name}
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
# Servers of one hub are clients of each other.
extendedKeyUsage = serverAuth, clientAuth
authorityKeyIdentifier = keyid
subjectAltName = ${hosts.map(alternativeName).join(",") || "DNS:none.invalid"}
`;
}

interface Openssl {
  run(...args: string[]): void;
  read(name: string): string;
  write(name: string, text: string): void;
}

/** Runs openssl in a directory of its own, which only this user can read and which is removed. */
function withOpenssl<T>(name: string, hosts: readonly string[], work: (openssl: Openssl) => T): T {
  if (Bun.which("openssl") === null)
    throw new Refusal(
      "openssl is not installed, which makes the certificates of the hub",
      "apt-get install openssl",
    );
  const cwd = mkdtempSync(join(tmpdir(), "ffrtmp-fleet-"));
  const write = (file: string, text: string) => writeFileSync(join(cwd, file), text, { mode: 0o600 });
  const run = (...args: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync({ cmd: ["openssl", ...args], cwd, stderr: "pipe" });
    const reason = stderr.toString().trim().split("\n").at(-1);
    if (exitCode !== 0) throw new Refusal(`cannot make a certificate: openssl ${args[0]}: ${reason}`);
  };
  try {
    write("openssl.cnf", configuration(name, hosts));
    return work({ run, write, read: (file) => readFileSync(join(cwd, file), "utf8") });
  } finally {
    rmSync(cwd, { recursive: true });
  }
}

function alternativeName(host: string): string {
  return isIP(host) === 0 ? `DNS:${host}` : `IP:${host}`;
}

function randomSerial(): string {
  return `0x${Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("hex")}`;
}
