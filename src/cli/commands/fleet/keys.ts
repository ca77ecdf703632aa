import { existsSync, readFileSync } from "node:fs";
import { FleetDirectory, locateFleet, type SigningPurpose } from "../../../fleet/hub/fleetDirectory.ts";
import { writePrivate } from "../../../fleet/keys/privateFile.ts";
import { createSigningKey, isSigningPublicKey } from "../../../fleet/keys/signingKey.ts";
import { NODE_CONFIG_FILE, readNodeConfig } from "../../../fleet/nodeConfig.ts";
import { trustedFile } from "../../../fleet/nodeFiles.ts";
import { readTrustedKeys, writeTrustedKeys } from "../../../fleet/trust/trustedKeys.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { describeErrno } from "../../../sys/errno.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printErr, printOut } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";

/** Prints the public part of a key that signs, or makes a new key in a file. */
export function showKey(purpose: SigningPurpose, flags: FleetFlags & { create?: string }): number {
  if (flags.create === undefined) {
    printOut(new FleetDirectory(locateFleet(flags.dir)).signingKey(purpose).publicKey);
    return 0;
  }
  if (existsSync(flags.create))
    throw new Refusal(`${flags.create} exists, and may be a key`, "name another file");
  const { seed, publicKey } = createSigningKey();
  try {
    writePrivate(flags.create, `${seed}\n`);
  } catch (error) {
    throw new Refusal(`cannot write ${flags.create}: ${describeErrno(error)}`);
  }
  printOut(publicKey);
  printErr(
    oneLine(
      `  its secret part is in ${flags.create}; nodes believe it after: ffrtmp fleet trust ${publicKey}`,
    ),
  );
  return 0;
}

/** Lists the keys whose documents this machine accepts, or adds or removes one. `text`: a key, or `-` for stdin. */
export async function trustKey(
  text: string | undefined,
  flags: { config?: string; remove?: boolean },
): Promise<number> {
  const file = trustedFile(readNodeConfig(flags.config ?? NODE_CONFIG_FILE).directory);
  const { keys, fault } = readTrustedKeys(file);
  if (fault !== undefined) throw new Refusal(fault, "correct the file by hand");
  if (text === undefined) {
    if (flags.remove) throw new Refusal("no key given", "ffrtmp fleet trust --remove KEY");
    for (const key of keys) printOut(key);
    if (keys.size === 0) printErr("ffrtmp: this machine trusts no operator of a fleet");
    return 0;
  }
  const key = (text === "-" ? await Bun.stdin.text() : text).trim();
  if (!isSigningPublicKey(key))
    throw new Refusal(
      "this is no public key of an operator (O…)",
      "print it on the operator's machine: ffrtmp fleet key",
    );
  if (flags.remove && !keys.has(key)) throw new Refusal(`${file} does not have the key ${key}`);
  const lines = existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n").filter(Boolean) : [];
  const others = lines.filter((line) => line.replace(/#.*/, "").trim() !== key);
  try {
    writeTrustedKeys(file, flags.remove ? others : [...others, key]);
  } catch (error) {
    throw new Refusal(`cannot write ${file}: ${describeErrno(error)}`, "run it as root");
  }
  printOut(oneLine(`${file} ${flags.remove ? "no longer has" : "has"} the key ${key}`));
  return 0;
}
