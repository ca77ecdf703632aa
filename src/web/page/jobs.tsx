import { useEffect, useRef } from "preact/hooks";
import type { JobView, Snapshot } from "./data.ts";
import { coresText, memoryText, quotaText } from "./format.ts";
import { JobTable, sortJobs } from "./jobTable.tsx";
import { ResultTable } from "./lists.tsx";
import { DataTable, Empty } from "./parts.tsx";
import { pathOf } from "./route.ts";
import { Shared, useShared } from "./shared.ts";
import { hindranceOf } from "./words.ts";

/** Words that a job must have, in its id, command, tenant, user or reason. */
const filter = new Shared("");
const MOST_ENDED = 5;

export function Jobs({ snapshot }: { snapshot: Snapshot }) {
  const words = useShared(filter);
  const jobs = sortJobs(snapshot.jobs.filter((job) => matches(job, words)));
  return (
    <>
      {snapshot.jobs.length > 0 && <Filter shown={jobs.length} all={snapshot.jobs.length} />}
      {snapshot.jobs.length === 0 ? (
        <Empty>
          No job runs now. What the policy names is governed as soon as it starts; <code>ffrtmp run</code> and{" "}
          <code>ffrtmp attach</code> add other jobs.
        </Empty>
      ) : jobs.length === 0 ? (
        <Empty>No job has all of these words.</Empty>
      ) : (
        <JobTable jobs={jobs} snapshot={snapshot} />
      )}
      {snapshot.tenants.length > 0 && <Tenants snapshot={snapshot} />}
      {snapshot.ended.length > 0 && (
        <section>
          <h2>Ended</h2>
          <ResultTable label="Jobs that ended last" results={snapshot.ended.slice(0, MOST_ENDED)} />
          <p>
            <a href={pathOf("history")}>all ended jobs</a>
          </p>
        </section>
      )}
    </>
  );
}

function matches(job: JobView, words: string): boolean {
  const hindrance = hindranceOf(job);
  const text = [
    job.job_id,
    job.tenant ?? "",
    job.user ?? "",
    ...job.command,
    ...(hindrance ? ["hindered", hindrance.text] : []),
  ]
    .join(" ")
    .toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function Filter({ shown, all }: { shown: number; all: number }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      if (event.key !== "/" || event.target instanceof HTMLInputElement) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  return (
    <p class="filter">
      <label>
        Filter <kbd>/</kbd>{" "}
        <input
          ref={input}
          type="search"
          value={useShared(filter)}
          placeholder="id, tenant, command, hindered"
          onInput={(event) => {
            filter.value = event.currentTarget.value;
          }}
        />
      </label>{" "}
      <span role="status">{shown !== all && `${shown} of ${all} jobs`}</span>
    </p>
  );
}

function Tenants({ snapshot: { tenants, counts } }: { snapshot: Snapshot }) {
  const hinderedOf = (tenant: string) =>
    counts.by_tenant.find((each) => each.tenant === tenant)?.hindered ?? null;
  const limited = (text: string, limit: string | null) => (limit === null ? text : `${text} / ${limit}`);
  return (
    <section>
      <h2>Tenants</h2>
      <DataTable
        label="Tenants"
        columns={[
          { name: "Tenant" },
          { name: "Jobs", isNumber: true },
          { name: "Hindered", isNumber: true },
          { name: "Cores / quota", isNumber: true },
          { name: "Memory / limit", isNumber: true },
        ]}
        rows={tenants.map(
          ({
            tenant,
            job_count: jobs,
            cpu_percent: percent,
            memory_bytes: bytes,
            limits_in_force: limits,
          }) => ({
            key: tenant,
            cells: [
              tenant,
              jobs,
              hinderedOf(tenant) ?? "–",
              limited(
                coresText(percent === null ? null : percent / 100),
                limits.cpu_cores === null ? null : quotaText(limits.cpu_cores),
              ),
              limited(
                memoryText(bytes),
                limits.memory_max_bytes === null ? null : memoryText(limits.memory_max_bytes),
              ),
            ],
          }),
        )}
      />
    </section>
  );
}
