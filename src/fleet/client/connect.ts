import type { ConnectionOptions, NatsConnection } from "@nats-io/nats-core";
import { NatsConnectionImpl, setTransportFactory } from "@nats-io/nats-core/internal";
import { UserKey } from "../keys/userKey.ts";
import { type SignedOptions, SocketTransport } from "./socketTransport.ts";

/**
 * Connects to a server. `seed`: the key of the user (SU…); absent: the options say who connects. Throws what the client throws,
 * and the runtime for a certificate that cannot be trusted.
 */
export async function connect(options: ConnectionOptions, seed?: string): Promise<NatsConnection> {
  setTransportFactory({ factory: () => new SocketTransport() });
  return NatsConnectionImpl.connect(seed === undefined ? options : await withKey(options, seed));
}

/** The client asks for the answer to a challenge at once, so the transport has it made when it has read the challenge. */
async function withKey(options: ConnectionOptions, seed: string): Promise<ConnectionOptions> {
  const key = await UserKey.fromSeed(seed);
  let sig = "";
  const answerChallenge = async (challenge: string) => {
    sig = await key.sign(challenge);
  };
  const signed: SignedOptions = {
    ...options,
    authenticator: () => ({ nkey: key.publicKey, sig }),
    answerChallenge,
  };
  return signed;
}
