import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { connection, follow, snapshot } from "./connection.ts";
import type { Snapshot } from "./data.ts";
import { Jobs } from "./jobs.tsx";
import { JobPage } from "./jobView.tsx";
import { RefusedLimits, refusedLimits } from "./limits.tsx";
import { History, Violations } from "./lists.tsx";
import { Policy } from "./policy.tsx";
import { Restarted } from "./restart.tsx";
import { followAddress, pathOf, type Route, route, VIEWS, type View } from "./route.ts";
import { useShared } from "./shared.ts";
import { SignIn } from "./signIn.tsx";
import { Liveness, OldData, Summary } from "./summary.tsx";

const NAMES: Readonly<Record<View, string>> = {
  jobs: "Jobs",
  history: "History",
  violations: "Violations",
  limits: "Limits",
  policy: "Policy",
};
const TITLES: Readonly<Record<View, string>> = {
  ...NAMES,
  history: "Ended jobs",
  violations: "SLA violations",
  limits: "Refused limits",
};

function Page() {
  const state = useShared(connection);
  const now = useShared(snapshot);
  if (state.kind === "token-needed") return <SignIn isWrong={state.isWrong} />;
  return (
    <>
      <button type="button" class="skip" onClick={skipToMain}>
        Skip to the jobs
      </button>
      <header>
        <h1>
          ffrtmp <small>{now?.hostname}</small>
        </h1>
        <Liveness />
        {now && <Summary snapshot={now} />}
      </header>
      <OldData snapshot={now} />
      {now && <Content snapshot={now} />}
      {!now && state.kind === "connecting" && <p class="empty">Connecting to ffrtmp watch…</p>}
    </>
  );
}

function Content({ snapshot: now }: { snapshot: Snapshot }) {
  const current = useShared(route);
  const { view, jobId } = current;
  const isLive = useShared(connection).kind === "live";
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${jobId ?? TITLES[view]} – ffrtmp ${now.hostname}`;
    // A screen reader continues where the new content begins. At the start, the page begins at its top.
    if (!isFirst.current) main.current?.querySelector<HTMLElement>("h2")?.focus();
    isFirst.current = false;
  }, [view, jobId]);
  return (
    <>
      <Restarted snapshot={now} />
      {now.problems.map(({ kind, severity, text }) => (
        <p key={kind} class={severity === "critical" ? "notice bad" : "notice warn"}>
          {text}
        </p>
      ))}
      <Navigation view={view} refused={refusedLimits(now).length} />
      <main id="main" ref={main} class={isLive ? "" : "old"}>
        {jobId === undefined && (
          <h2 tabIndex={-1} class={view === "jobs" ? "hidden" : ""}>
            {TITLES[view]}
          </h2>
        )}
        <Shown route={current} snapshot={now} />
      </main>
    </>
  );
}

function Shown({ route: { view, jobId }, snapshot: now }: { route: Route; snapshot: Snapshot }) {
  if (jobId !== undefined) return <JobPage key={jobId} jobId={jobId} snapshot={now} />;
  switch (view) {
    case "jobs":
      return <Jobs snapshot={now} />;
    case "history":
      return <History snapshot={now} />;
    case "violations":
      return <Violations snapshot={now} />;
    case "limits":
      return <RefusedLimits snapshot={now} />;
    case "policy":
      return <Policy />;
  }
}

function Navigation({ view, refused }: { view: View; refused: number }) {
  return (
    <nav aria-label="Views">
      {VIEWS.map((each) => (
        <a key={each} href={pathOf(each)} aria-current={each === view ? "page" : undefined}>
          {NAMES[each]}
          {each === "limits" && refused > 0 && <span class="count">{refused}</span>}
        </a>
      ))}
    </nav>
  );
}

/** The fragment of the address names a view, so that this cannot be a link. */
function skipToMain(): void {
  document.querySelector<HTMLElement>("#main h2")?.focus();
}

window.addEventListener("keydown", ({ key, target }) => {
  if (key === "Escape" && route.value.jobId !== undefined && !(target instanceof HTMLInputElement))
    location.hash = pathOf("jobs");
});
followAddress();
render(<Page />, document.getElementById("page") as HTMLElement);
void follow();
