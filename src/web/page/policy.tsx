import type { Policy as PolicyDocument } from "./data.ts";
import { timeText } from "./format.ts";
import { DataTable } from "./parts.tsx";
import { useDocument } from "./useDocument.ts";

/** The policy in force, and what is wrong with its file. */
export function Policy() {
  const { data, problem } = useDocument<PolicyDocument>("policy");
  if (problem !== undefined) return <p class="notice warn">{problem}</p>;
  if (data === undefined) return null;
  const { path, loaded_at: loadedAt, target_commands: targets, default_limits: limits } = data;
  return (
    <>
      <p class="lead">
        {path === null ? "It comes from the command line of ffrtmp watch." : <code>{path}</code>} Read at{" "}
        {timeText(loadedAt)}.
      </p>
      {data.faults.map((fault) => (
        <p key={fault} class="notice bad">
          The file is not valid, and an earlier policy is in force: {fault}
        </p>
      ))}
      {data.warnings.map((warning) => (
        <p key={warning} class="notice warn">
          {warning}
        </p>
      ))}
      <Settings
        name="In general"
        settings={{
          ...data.settings,
          "target commands": targets.join(", "),
          ...Object.fromEntries(limits.map(({ limit, wanted }) => [`default ${limit}`, wanted])),
        }}
      />
      {(["rules", "commands", "tenants"] as const).flatMap((kind) =>
        data[kind].map(({ name, settings }) => (
          <Settings key={`${kind} ${name}`} name={`${KINDS[kind]} ${name}`} settings={settings} />
        )),
      )}
    </>
  );
}

const KINDS = { rules: "Rule", commands: "Command", tenants: "Tenant" };

function Settings({ name, settings }: { name: string; settings: Readonly<Record<string, string>> }) {
  return (
    <section>
      <h3>{name}</h3>
      <DataTable
        label={name}
        columns={[{ name: "Key" }, { name: "Value" }]}
        rows={Object.entries(settings).map(([key, value]) => ({ key, cells: [<code>{key}</code>, value] }))}
      />
    </section>
  );
}
