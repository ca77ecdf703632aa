import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { type ClaimRecord, claimRecord, runnerRecord, Spool } from "../../../src/fleet/dispatch/spool.ts";
import { createSigningKey } from "../../../src/fleet/keys/signingKey.ts";
import type { JobBody } from "../../../src/fleet/messages/job.ts";
import { signDocument } from "../../../src/fleet/messages/signed.ts";
import { findUser, type UserAccount } from "../../../src/linux/proc/userAccount.ts";
import { lacksRoot, type Sandbox } from "../sandbox.ts";

/** The user as which jobs of tests run: one that every Debian has. */
export const RUN_AS = "www-data";

export function lacksRunner(): string | undefined {
  return lacksRoot() ?? (findUser(RUN_AS) === undefined ? `no user ${RUN_AS}` : undefined);
}

/** The files of a node that takes jobs, with a runner and without an agent: the test writes the claims. */
export class RunnerNode {
  readonly #sandbox: Sandbox;
  readonly key = createSigningKey();
  readonly directory: string;
  /** Where jobs may write. */
  readonly out: string;
  readonly claims: Spool<ClaimRecord>;
  readonly records;
  readonly #program: string;

  constructor(sandbox: Sandbox, name = "node") {
    this.#sandbox = sandbox;
    this.directory = sandbox.path(name);
    this.out = join(this.directory, "out");
    mkdirSync(this.out, { recursive: true });
    // The user of the jobs must reach what is below.
    for (const path of [sandbox.directory, this.directory]) chmodSync(path, 0o755);
    const { uid, gid } = findUser(RUN_AS) as UserAccount;
    chownSync(this.out, uid, gid);
    this.claims = new Spool(join(this.directory, "agent", "claims"), claimRecord);
    this.records = new Spool(join(this.directory, "runner"), runnerRecord);
    this.#program = join(this.directory, "record");
    // Not a shell in the template: a program of root's.
    const script = `#!/bin/sh\necho "$FFRTMP_JOB $FFRTMP_ATTEMPT" >> ${this.starts}\nsleep "$1"\nexit "$2"\n`;
    writeFileSync(this.#program, script, { mode: 0o755 });
    this.template("record", {
      command: [this.#program, "{seconds}", "{code}"],
      params: {
        seconds: { type: "number", min: 0, max: 1000 },
        code: { type: "number", min: 0, max: 255, whole: true },
      },
    });
  }

  /** The file with one line for each start of the template `record`. */
  get starts(): string {
    return join(this.out, "starts");
  }

  get accept(): string {
    return join(this.directory, "etc", "accept.yaml");
  }

  /** The options of a runner, and of an agent, with the files of this node. */
  get options(): string[] {
    return [
      ...["--accept", this.accept, "--agent-state", join(this.directory, "agent")],
      ...["--runner-state", join(this.directory, "runner")],
    ];
  }

  listStarts(): string[] {
    return existsSync(this.starts) ? readFileSync(this.starts, "utf8").trim().split("\n") : [];
  }

  /** Writes root's permission. */
  allow(change: object = {}): void {
    mkdirSync(join(dirname(this.accept), "templates.d"), { recursive: true });
    const file = { v: 1, pools: ["live"], slots: 100, as: RUN_AS, trusted: [this.key.publicKey], ...change };
    writeFileSync(this.accept, stringify(file), { mode: 0o644 });
  }

  template(name: string, content: object): void {
    const path = join(dirname(this.accept), "templates.d", `${name}.yaml`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, stringify(content), { mode: 0o644 });
  }

  job(change: Partial<JobBody> = {}): JobBody {
    return {
      ...{ v: 1, id: "job-1", pool: "live", template: "record", params: { seconds: 0, code: 0 } },
      ...{ attempts: 3, not_before: null, not_after: "2099-01-01T00:00:00.000Z", rerun: "never" },
      ...{ labels: {}, by: "test", at: new Date().toISOString() },
      ...change,
    } as JobBody;
  }

  /** Records a claim as the agent does after the hub has confirmed it. */
  claim(change: Partial<JobBody> = {}, { attempt = 1, state = "mine" as ClaimRecord["state"] } = {}): void {
    const body = this.job(change);
    const job = signDocument("job", body, this.key);
    const at = new Date().toISOString();
    const record = { v: 1, state, attempt, job, claim_id: "c", claim_seq: 1, boot_id: "b", at } as const;
    this.claims.write({ job: body.id, attempt }, record);
  }

  startRunner(): Bun.Subprocess {
    return this.#sandbox.start(["fleet", "runner", ...this.options], { stdout: "ignore", stderr: "ignore" });
  }

  stateOf(job: string, attempt = 1): string | undefined {
    const read = this.records.read({ job, attempt });
    return read === undefined ? undefined : "state" in read ? read.state : "faulty";
  }
}
