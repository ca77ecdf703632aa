import { Refusal } from "../../jobs/errors.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { explainNoRecords } from "../output/emptyState.ts";
import { printOut } from "../output/messages.ts";
import { openToChange, requireRecords } from "../session.ts";

/** Gives the ledger a new id, so that the agent sends its results from the first one on. */
export function resendResults(flags: CommonFlags): number {
  const context = openToChange(flags);
  requireRecords(context);
  const { ledger, state } = context;
  if (ledger.isMissing) explainNoRecords(context, "fleet resend");
  else if (!ledger.renewIdentity())
    throw new Refusal(`cannot write the ledger ${state.ledger} now`, "run the same command again");
  else printOut("the agent sends all results of this ledger again, as those of a new ledger");
  ledger.close();
  return 0;
}
