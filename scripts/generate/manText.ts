/** The text of a manual page beyond the definitions of commands and options. */
export interface ManText {
  /** Paragraphs. */
  description: string[];
  /** The columns of its table, in order. */
  columns?: [heading: string, meaning: string][];
  /** The words in its column REASON. */
  reasons?: [reason: string, meaning: string][];
  /** A sentence, and the command line that it describes, which a test executes. */
  examples: [text: string, line: string][];
  /** Further examples, which need a fleet or would change what this machine accepts. A test only parses them. */
  unexecuted?: [text: string, line: string][];
}

/** Texts by command. The page of a command without a text has its definition alone. */
export const MAN_TEXTS: Record<string, ManText> = {
  ffrtmp: {
    description: [
      "ffrtmp starts workloads (run), governs running ones (attach) and finds them by itself (watch). It limits and measures them through cgroups, and records how each one ended.",
      "No ffrtmp process owns a workload: it sends no signals, traces nothing and reads no memory, and its own end, at any time, changes nothing for a workload. Every limit is read back from the kernel and reported as applied, partial, refused or unsupported, with the reason. Every exit code is recorded with its evidence, or as unknown with the reason.",
    ],
    examples: [
      [
        "Start a transcode with at most one and a half cores and 2 GiB, and return to the prompt:",
        "ffrtmp run -d --job-id transcode-001 --cpu-quota 150 --memory-max 2G -- ffmpeg -i in.mp4 out.mp4",
      ],
      ["List the governed jobs, and the finished ones:", "ffrtmp ps; ffrtmp history"],
      ["Show what jobs and tenants use now, again each second:", "ffrtmp stats"],
      ["Check what this machine supports:", "ffrtmp doctor"],
    ],
  },
  "ffrtmp run": {
    description: [
      "The command runs in its own session and process group, in its cgroup from the first instruction, with the standard output and error of the caller. A terminal as standard input is replaced by /dev/null.",
      "SIGINT, SIGTERM and SIGHUP to ffrtmp end the waiting and not the command: the command continues under its limits, and ffrtmp prints how to follow and how to stop it. The process ID of the command is also that of its process group: kill -- -PID stops all of it.",
    ],
    examples: [
      [
        "Run a transcode on one core, and wait for it:",
        "ffrtmp run --cpu-quota 100 -- ffmpeg -nostdin -i in.mp4 out.mp4",
      ],
    ],
  },
  "ffrtmp exec": {
    description: [
      "ffrtmp applies the limits to itself, records the job, and executes the command in its own process: the process ID, the parent, the process group, the standard streams and the descriptors stay those of the caller. It is for programs that end their own jobs, such as Slurm, Nomad, HTCondor, Kubernetes, cron and units of systemd: the command is their own child, so a signal to it and its exit code take no way through ffrtmp. The labels of the job have its identity there, such as slurm_job.",
      "ffrtmp watch records how the command ended. Without it, the next ffrtmp records that it ended, between two times.",
      "The job is in a cgroup below that of the caller, or on cgroup v2 in the caller's own, as with ffrtmp-attach(1). A process that a job governs already is refused, with exit code 125.",
    ],
    examples: [
      [
        "Limit the command of a scheduler's job:",
        "ffrtmp exec --cpu-quota 150 -- ffmpeg -nostdin -i in.mp4 out.mp4",
      ],
    ],
  },
  "ffrtmp attach": {
    description: [
      "The process and its descendants are moved into a child of their current cgroup, so that every existing limit still applies. Ctrl-C stops the observation; the limits stay and the process continues.",
      "A job whose observer was killed is taken over, by --pid or --job: it keeps its id and its limits, which are applied again where they were changed, and its end is recorded. A job with an observer is refused. Options that the job was started with are accepted, others are refused: ffrtmp limits set changes limits.",
      "After ffrtmp detach, watch leaves a process alone until it ends, or until ffrtmp attach --policy --pid PID.",
    ],
    examples: [["Limit a process to half a core:", "ffrtmp attach --pid 4026 --cpu-quota 50"]],
  },
  "ffrtmp ps": {
    description: [
      "CPU use is measured over 200 ms; 100 % is one core. Memory is what is charged to the job's cgroup, without page cache that was not used lately, or, marked with rss, the resident memory of the job's processes where the cgroup does not have all of it.",
      "On a terminal, the table fits its width: the command is cut and columns are left out. In a pipe nothing is.",
      "Where a scheduler such as Slurm or systemd has started a job, the column SCHEDULER has its name, and the id of the job there.",
      "A filter is state=starting|running|ended, outcome=succeeded|failed|killed|unknown, mode=run|attach|watch, tenant=NAME, user=NAME|UID, label=NAME=PATTERN, or command=PATTERN. A pattern such as *rtmp://* is compared with the name of the command, its path and the whole command line.",
    ],
    columns: [
      ["OUTCOME", "with --all: running, or the outcome as in ffrtmp-history(1)."],
      ["EXIT", "with --all: the exit code, the signal, or unknown."],
      ["JOB", "the id of the job."],
      ["PID", "the process of the workload."],
      ["USER", "the user of the process."],
      ["TENANT", "the customer or account that the job belongs to. -: none."],
      ["MODE", "the command that governs the job: run, attach or watch."],
      ["SINCE", "for how long the job has been governed."],
      ["CPU %", "the CPU use now; 100 is one core."],
      ["MEMORY", "the memory in use now. rss: the resident memory of the processes."],
      [
        "LIMITS",
        "the limits as they were asked for, with those apart that are in force only in part, or not at all.",
      ],
      ["OBSERVER", "the ffrtmp that will record the end. none: the next ffrtmp takes the job over."],
      ["COMMAND", "the command line, with secrets as ***."],
    ],
    examples: [
      ["List the jobs of a tenant that failed:", "ffrtmp ps --filter tenant=acme --filter outcome=failed"],
      ["Find a job of Slurm by its id there:", "ffrtmp ps --all --filter label=slurm_job=17"],
      ["Print the ids of the jobs that use most memory:", "ffrtmp ps -q --sort memory | head"],
    ],
  },
  "ffrtmp stats": {
    description: [
      "On a terminal the table is refreshed until Ctrl-C, or until the named jobs have ended. In a pipe one table is printed, and more with --interval. Below the jobs there is a row for each tenant, with the totals of its jobs.",
      "THROTTLED is the part of the periods of a CPU quota in which the quota stopped the job; of a tenant, by the quota of its total.",
      "Where jobs use NVIDIA GPUs, the table has columns for them, and a table below has a row for each GPU with its use by all programs. The driver is asked at most once in two seconds, and reports averages over a period of its own.",
    ],
    columns: [
      ["JOB", "the id of the job."],
      ["TENANT", "the customer or account that the job belongs to. -: none."],
      ["CPU %", "the CPU use over the interval; 100 is one core."],
      ["MEMORY", "as in ffrtmp-ps(1)."],
      ["THROTTLED", "the part of the quota's periods in which the quota stopped the job. -: no quota."],
      ["READ", "data read from disks."],
      ["WRITTEN", "data written to disks."],
      ["PROCS", "the number of processes."],
      [
        "CPU WAIT",
        "the part of the time in which at least one thread of the job waited for a CPU. -: not known.",
      ],
      ["MEM WAIT", "the same for memory."],
      ["IO WAIT", "the same for disks."],
      [
        "SPEED",
        "media time per time over the last 15 seconds; 1 is real time. ok: not known, but the job reads what it receives.",
      ],
      [
        "DONE",
        "the part that is processed. ~: the part of the bytes of its input. finishing: all input is processed. stuck: no progress for 2 minutes.",
      ],
      ["LEFT", "the time that the rest takes at this speed."],
      ["SURE", "the cores that the job gets when everything that runs now is busy. -: not known."],
      [
        "NEED",
        "the cores that the job needs to keep up with real time: the 95th percentile of its use in a second. ~: an estimate. -: not known, or it works ahead of real time.",
      ],
      ["SENT", "data sent over TCP and acknowledged."],
      ["RECEIVED", "data received over TCP."],
      [
        "BACKLOG",
        "what waits to be sent or acknowledged over TCP: in seconds of the job's own rate, in bytes before that is known. -: no connection.",
      ],
      ["GPU %", "the use of NVIDIA GPUs by its processes; 100 is one GPU. Only where a job uses one."],
      ["ENC %", "the use of their video encoders."],
      ["DEC %", "the use of their video decoders."],
      ["GPU MEM", "the GPU memory of its processes."],
      [
        "HELD BACK BY",
        "what has held the job back for 30 seconds or longer: its own limit, its neighbours, memory, disks, a GPU, its receiver, its source, or itself. -: nothing is known to.",
      ],
      ["COMMAND", "the command line, with secrets as ***."],
    ],
    examples: [
      ["Show what one job uses, again each second:", "ffrtmp stats transcode-001"],
      ["Print the present use of all jobs and tenants as JSON lines:", "ffrtmp stats --once --json"],
    ],
  },
  "ffrtmp top": {
    description: [
      "Takes the whole terminal and shows the running jobs, those first that are held back, with the reason below them. Below the jobs are the latest ends. Keys: s changes the order, / filters by id, tenant or command, t shows tenants, Enter shows the selected job with charts of its speed and its CPU use, its limits and its events, p pauses, ? explains everything, q quits.",
      "top only reads. Where ffrtmp watch runs and may be asked, it shows what watch has measured; else it measures by itself. In a pipe, on a dumb terminal and with --once it prints one table.",
    ],
    examples: [
      ["Print the jobs that use most memory, once:", "ffrtmp top --once --sort memory"],
      ["Watch jobs on a terminal without UTF-8 and colors:", "NO_COLOR=1 LC_ALL=C ffrtmp top"],
    ],
  },
  "ffrtmp capacity": {
    description: [
      "An estimate, and no limit: nothing is refused by it. The candidate is like the largest stream that runs, or like a job or the jobs of a rule of the policy (--like). Jobs with the intent batch or best-effort do not count. The answer is the least of what the CPUs leave (90 % of them), the total of the tenant, and what the weights give each stream when everything is busy.",
    ],
    examples: [["Tell how many more streams like one fit:", "ffrtmp capacity --like transcode-001"]],
  },
  "ffrtmp fleet init": {
    description: [],
    examples: [],
    unexecuted: [["Make a fleet whose hub has this name:", "ffrtmp fleet init hub.example.net"]],
  },
  "ffrtmp fleet invite": {
    description: [],
    examples: [],
    unexecuted: [
      [
        "Add a node, and make the machine join:",
        "ffrtmp fleet invite edge-1 --pool live | ssh root@edge-1 ffrtmp fleet join --start -",
      ],
    ],
  },
  "ffrtmp fleet join": {
    description: [],
    examples: [],
    unexecuted: [
      ["Join with an invite from standard input, and start the agent:", "ffrtmp fleet join --start -"],
    ],
  },
  "ffrtmp fleet ps": {
    description: [],
    examples: [],
    unexecuted: [["List the nodes, and what is wrong with them:", "ffrtmp fleet ps"]],
  },
  "ffrtmp fleet results": {
    description: [],
    examples: [],
    unexecuted: [
      ["List the jobs that failed in the last two hours:", "ffrtmp fleet results --since 2h --failed"],
    ],
  },
  "ffrtmp fleet sla": {
    description: [],
    examples: [],
    unexecuted: [
      [
        "Show how often the platform did its part for each tenant in the last week:",
        "ffrtmp fleet sla --since 7d --by tenant",
      ],
    ],
  },
  "ffrtmp fleet agent": {
    description: [
      "Reports the machine, its running jobs and the results of those that ended to the hub of a fleet, a nats-server. Each result is stored there once, whatever is lost on the way; while the hub is not reachable, results wait in the ledger. Command lines are not sent, unless --with-commands asks for it.",
      "The agent reads the ledger with a connection that cannot write, and connects outwards. It starts, limits and ends no process, and may run as any user who may read the ledger. SIGTERM ends it, with exit code 0. The package has it as ffrtmp-fleet-agent.service, which is not enabled.",
      "A ledger that was restored from a backup, or is that of a cloned machine, is refused if the hub has other results under its numbers: see ffrtmp-fleet-resend(1).",
    ],
    examples: [["Report this machine, in the foreground:", "ffrtmp fleet agent"]],
  },
  "ffrtmp fleet accept": {
    description: [
      "Without the file that this command writes, a machine takes no job of its fleet, whatever an operator or the hub asks for. With it, the machine takes jobs of the named pools that a trusted key has signed, each as a template of this machine allows, and runs them as a user that is not root. Three steps remain for root, and the command names those that are missing: a template in /etc/ffrtmp/fleet/templates.d, the service ffrtmp-fleet-runner, and the pools of the node at the hub.",
      "--off removes the file. An attempt that is claimed and has not started is refused then; jobs that run, run on.",
    ],
    examples: [],
    unexecuted: [
      [
        "Take jobs of the pool live, at most four at once, signed by the key in ops.pub:",
        "ffrtmp fleet accept --pool live --slots 4 --as transcode --trust ops.pub",
      ],
      ["Take no further jobs:", "ffrtmp fleet accept --off"],
    ],
  },
  "ffrtmp fleet runner": {
    description: [
      "Reads the claims of the agent, which has no rights, and believes none of them: it verifies the signature of each job, its pool, its time, its template and the values of its parameters, and starts it by run --detach --once as the user that root has chosen. The ledger decides whether an attempt was started, so that none is started twice, at whatever instant the runner ends.",
      "It refuses for good what root's files do not allow, and what cannot be executed; the agent tells the hub. The package has it as ffrtmp-fleet-runner.service, which is not enabled.",
    ],
    examples: [],
    unexecuted: [["Start what the agent of this machine claims, in the foreground:", "ffrtmp fleet runner"]],
  },
  "ffrtmp fleet template push": {
    description: [
      "Signs a template with the key that signs jobs, and stores it at the hub. Nodes whose root has run ffrtmp fleet accept --signed-templates use it for their next jobs, unless they have a template of this name in /etc/ffrtmp/fleet/templates.d. A template is replaced by pushing it again.",
    ],
    examples: [],
    unexecuted: [["Store a template under the name hls-1080p:", "ffrtmp fleet template push hls-1080p.yaml"]],
  },
  "ffrtmp fleet template check": {
    description: [
      "Reads a template as the runner does. With a value for each parameter, it prints what would be executed, one argument on each line. Paths are resolved on this machine. The exit code is 2 for a template or a value that is refused.",
    ],
    examples: [],
    unexecuted: [
      [
        "Show what a job would execute:",
        "ffrtmp fleet template check hls.yaml --param input=https://cdn.example/7.mp4 --param height=720",
      ],
    ],
  },
  "ffrtmp fleet submit": {
    description: [
      "Signs a job with the operator's key for jobs, and puts it into the queue of a pool. The job names a template, which root of each node has there, and values for its parameters; it contains no command. Nodes check the signature, the pool, the time and the values.",
      "An id is used once, so the same call can be repeated when its answer was lost: it is already submitted then, and offered again only if it is missing in the queue. The exit code is 1 where an id is that of another job, and 2 where nothing was submitted.",
    ],
    examples: [],
    unexecuted: [
      [
        "Submit a job to the pool live, which can be claimed for two hours:",
        "ffrtmp fleet submit hls --pool live --id movie-7 --param input=https://cdn.example/7.mp4 --expires 2h",
      ],
      ["Submit one job for each line of a file:", "ffrtmp fleet submit hls --pool live --from jobs.jsonl"],
    ],
  },
  "ffrtmp fleet queue": {
    description: [
      "States: offered, claimed by a node, running, ended with its outcome, lost, expired, cancelled, and missing for a job that is neither in the queue nor claimed. A claim has no end: a node that is cut off keeps its jobs. docs/fleet-dispatch.md says what to do about each state.",
    ],
    examples: [],
    unexecuted: [
      ["List the jobs that wait, run or are lost:", "ffrtmp fleet queue"],
      ["Show one job, in whatever state it is:", "ffrtmp fleet queue movie-7"],
    ],
  },
  "ffrtmp fleet cancel": {
    description: [
      "Takes the claim of the attempt in place of a node, so that none can claim it any more, also one that has just received it. It is refused once a node has claimed the job: ffrtmp ends no job.",
    ],
    examples: [],
    unexecuted: [["Withdraw a job:", "ffrtmp fleet cancel movie-7"]],
  },
  "ffrtmp fleet lost": {
    description: [
      "A node that is silent keeps its jobs, because it may run them. This command is for an operator who knows that it does not: for each attempt of the node without a known end, it states a loss, and offers the next attempt of jobs that were submitted with --rerun if_lost. A result that arrives afterwards is kept, and marked as superseded.",
      "The exit code is 1 where --yes is missing, and 2 for a node that reports: it states its losses itself.",
    ],
    examples: [],
    unexecuted: [
      ["List the jobs that a node has, and state nothing:", "ffrtmp fleet lost edge-3"],
      ["State that all of them are lost:", 'ffrtmp fleet lost edge-3 --yes --why "disk burnt"'],
    ],
  },
  "ffrtmp fleet requeue": {
    description: [
      "Offers the bytes that were signed at the submission again, as the next attempt, within its --attempts. It is refused while a node has the job, unless --lost states that this attempt is lost.",
    ],
    examples: [],
    unexecuted: [
      ["Offer the next attempt of a job that is lost or has failed:", "ffrtmp fleet requeue movie-7"],
    ],
  },
  "ffrtmp fleet restore": {
    description: [
      "The queue of a backup contains jobs that nodes have claimed since, without the claims. --begin closes the queues, before the restored hub is started; nodes send their claims again by themselves; --finish opens the queues when all have. Without an option it lists the nodes; the exit code is 1 while one is missing.",
    ],
    examples: [],
    unexecuted: [
      ["Close the queues, after the hub was stopped:", "ffrtmp fleet restore --begin"],
      ["Open them, when all nodes have sent their claims again:", "ffrtmp fleet restore --finish"],
    ],
  },
  "ffrtmp fleet policy push": {
    description: [
      "Checks the file, signs the policy and stores it at the hub as the last one of a ring of nodes, under a serial that only rises. ffrtmp watch on each node verifies it by the keys that root has named there, and uses it in place of the local policy. A file with errors, or with what no policy of a fleet may contain (on_end, retention, tenants from the environment), is not pushed: exit code 2.",
      "With --wait, exit code 0 says that all nodes of the ring that report have applied it, and 1 that a node refuses it, that the time is over, or that more jobs are in violation than --max-violations allows. Silent nodes apply it when they are back.",
    ],
    examples: [],
    unexecuted: [
      [
        "Give a ring a policy, and fail if more than 1 % of its jobs are in violation within ten minutes:",
        "ffrtmp fleet policy push live.yaml --ring canary --wait 10m --max-violations 1%",
      ],
    ],
  },
  "ffrtmp fleet policy status": {
    description: [
      "Shows the last policy of each ring, and how many of its nodes have taken it: applied, waiting (has not said yet), refused, unselected (the policy is for a share without it), ignored (root keeps the local policy) or silent. Below the table are the reasons.",
    ],
    examples: [],
    unexecuted: [["Show the policy of each ring:", "ffrtmp fleet policy status"]],
  },
  "ffrtmp fleet policy rollback": {
    description: [
      "Signs the policy before the present one again, under a new serial: a node never goes back to an older serial. The hub has the last 10 policies of each ring.",
    ],
    examples: [],
    unexecuted: [["Give a ring its earlier policy again:", "ffrtmp fleet policy rollback --ring canary"]],
  },
  "ffrtmp fleet cordon": {
    description: [
      "A node that is cordoned claims no further jobs of the fleet. Nothing is ended, and no limit changes. With a node's name, an operator says so through the hub; without one, root says so on the machine itself, which needs no hub and comes first.",
    ],
    examples: [],
    unexecuted: [
      ["Keep a node from claiming jobs:", 'ffrtmp fleet cordon edge-1 --reason "new disk"'],
      ["Do the same on the node, as root and without the hub:", 'ffrtmp fleet cordon --reason "new disk"'],
    ],
  },
  "ffrtmp fleet uncordon": {
    description: [
      "With a node's name, ends the cordon of the operator, and not that of root. Without one, ends root's on this machine; exit code 1 says that the operator's remains.",
    ],
    examples: [],
    unexecuted: [["Let a node claim jobs again:", "ffrtmp fleet uncordon edge-1"]],
  },
  "ffrtmp fleet drain": {
    description: [
      "Cordons a node. With --wait, waits until the node reports that it knows, and that no job runs there that the fleet gave it; says how many others run. It ends no job. Exit code 124: --timeout is over.",
    ],
    examples: [],
    unexecuted: [
      [
        "Cordon a node, and wait up to two hours until its jobs of the fleet have ended:",
        "ffrtmp fleet drain edge-1 --wait --timeout 2h",
      ],
    ],
  },
  "ffrtmp fleet key": {
    description: [
      "Prints the public key that nodes have to trust. --create makes a new key, for when the present one is to be replaced: nodes trust both for a while.",
    ],
    examples: [],
    unexecuted: [
      ["Print the public key that signs jobs:", "ffrtmp fleet key jobs"],
      ["Make the next key:", "ffrtmp fleet key --create next.nk"],
    ],
  },
  "ffrtmp fleet trust": {
    description: [
      "The keys are in the file trusted beside the node's configuration, one on each line. A policy is in force only while its signer is trusted.",
    ],
    examples: [],
    unexecuted: [
      [
        "Accept the policies that a key signs:",
        "ffrtmp fleet trust OBTDSXPB4C6SMTT2Z2HTQ4FOZRYCXUONGLT72MMQZIFAFIRY3HLNYW24",
      ],
    ],
  },
  "ffrtmp fleet resend": {
    description: [
      "Gives the ledger a new id. For the hub it is another ledger from then on, of which it has nothing, so that the agent sends all results that are in it. Those that the hub had before stay there too; the key of a job tells which are the same.",
    ],
    examples: [["Continue with a ledger that was restored from a backup:", "ffrtmp fleet resend --all"]],
  },
  "ffrtmp detach": {
    description: [
      "Cgroup membership, nice and every other changed value is restored. The processes continue. watch leaves them alone from then on; ffrtmp attach --policy --pid PID undoes that.",
    ],
    examples: [],
  },
  "ffrtmp wait": {
    description: [
      "Prints the line of each job when it ends, as run does. A job that has ended already counts, whatever its id was used for before. Works while ffrtmp watch runs and while it does not: where no ffrtmp observes a job, wait records its end.",
      "Ctrl-C, and the end of wait for any other reason, changes nothing for the jobs.",
    ],
    examples: [
      [
        "Continue when two jobs have ended that run in the background:",
        "ffrtmp wait transcode-001 transcode-002",
      ],
    ],
  },
  "ffrtmp events": {
    description: [
      "Each line has the time in UTC, the kind of the event, the job (- for an event of ffrtmp watch itself) and the detail as name=value. Events of jobs are registered, started, ended, detached, never_started and those that ffrtmp inspect shows. Events of the daemon are daemon_started, daemon_stopped, policy_loaded, policy_rejected, event_source_changed, event_source_failed, events_lost, history_pruned and history_prune_failed.",
      "Events are kept as long as their job, and those of the daemon as long as jobs are.",
    ],
    examples: [
      ["Show what happened in the last two hours:", "ffrtmp events --since 2h"],
      ["Follow what happens to one job, as JSON lines:", "ffrtmp events -f --json --job transcode-001"],
    ],
  },
  "ffrtmp doctor": {
    description: [
      "Each feature is tried, and every change undone. The exit code is 0 when everything works, and 1 when something is missing.",
    ],
    columns: [
      ["CHECK", "the feature."],
      ["WORKS", "yes, or NO."],
      ["FOUND", "a version, a path, or the reason and the consequence."],
    ],
    examples: [["Check what this machine supports:", "ffrtmp doctor"]],
  },
  "ffrtmp watch": {
    description: [
      "One watch runs per state directory. When it ends, for whatever reason, every job continues under its limits, and the next watch adopts the jobs. Where the package is installed, systemd starts it as ffrtmp-watch.service.",
    ],
    examples: [
      [
        "Show what would be governed, without changing anything:",
        "ffrtmp watch --dry-run --target ffmpeg --target gst-launch-1.0",
      ],
    ],
  },
  "ffrtmp history": {
    description: [
      "Outcome and SLA are two verdicts. The outcome is about the workload. The SLA is about the platform: whether limits were applied, the end was observed, and ffrtmp's own memory limit killed nothing. A workload that fails under its limits is compliant.",
      'A time is local: 14:00 (the last time that the clock showed it), 2026-11-26 (its 00:00), "2026-11-26 14:00", today, yesterday or now. 90m, 2h, 7d and "2 hours ago" are before now. 2026-11-26T14:00Z, "2026-11-26 14:00+01:00" and @1700000000 name a time in any zone. --since belongs to the period, --until does not. An end that was not observed counts at the time when it was recorded.',
      "On a terminal, a table shows how long ago jobs ended; in a pipe, the local time with its offset. JSON is in UTC.",
      "With a job id, lines below the table show what the latest of its runs used over time, as ffrtmp watch has measured it: each is a chart from 0 to the greatest value, with the least and the greatest beside it. inspect --json has the points.",
    ],
    columns: [
      [
        "OUTCOME",
        "succeeded: exit code 0. failed: another exit code, or it could not be started. killed: ended by a signal. unknown: not observed, or detached.",
      ],
      ["ENDED", "≤ a time, and ≥ an age: the end was not observed, and was then or earlier."],
      ["JOB", "the id of the job, which can be used again after its end."],
      ["EXIT", "the exit code, the signal, or unknown. -: the process was alive when its job was detached."],
      [
        "RUNTIME",
        "≤: the end was not observed. ≥: the process was alive when its job was detached. ~: measured by the wall clock.",
      ],
      ["SLA", "the verdict about the platform: compliant or violation."],
      ["REASON", "the reason of this verdict; see REASONS."],
      ["MODE", "the command that governed the job: run, attach or watch."],
      ["PID", "the process of the workload."],
      ["EVIDENCE", "the source of the exit code in the kernel."],
    ],
    reasons: [
      [
        "completed_successfully, ended_with_error, ended_by_signal",
        "compliant: the workload ended by itself or by another process.",
      ],
      ["detached", "compliant: an operator or the policy released the process."],
      ["ended_before_limits", "compliant: the process ended while its limits were being applied."],
      ["unobserved_by_choice", "compliant: watch --once or Ctrl-C ended the observing."],
      ["ended_unobserved", "violation: no ffrtmp observed the end."],
      ["exit_unknown", "violation: the end was observed, and its exit status was not."],
      ["limit_not_applied(LIMITS)", "violation: these limits were refused or are not supported."],
      [
        "killed_at_our_memory_cap, killed_at_tenants_memory_cap",
        "violation: the kernel killed a process at --memory-max, or at the total of the tenant.",
      ],
      [
        "starved_by_own_limit",
        "violation: a CPU quota that ffrtmp set, or the total of the tenant, kept a live job below real time.",
      ],
      ["never_started", "violation: the command could not be started."],
    ],
    examples: [
      ["List what failed since yesterday evening:", "ffrtmp history --failed --since 22:00"],
      ["Show how often the platform did its part in the last week:", "ffrtmp history --sla --since 7d"],
    ],
  },
};

/** Exit codes of run, of wait, and of all other commands. */
export const EXIT_CODES: Record<"run" | "wait" | "others", [code: string, meaning: string][]> = {
  run: [
    ["N", "the command's own code; 128 + n where signal n ended it"],
    ["125", "ffrtmp itself failed or refused"],
    ["126", "the command cannot be executed"],
    ["127", "the command was not found"],
  ],
  wait: [
    ["N", "the code of the last job that is named; 128 + n where signal n ended it"],
    ["124", "the time of --timeout is over"],
    ["125", "how that job ended is unknown, or it was detached"],
    ["2", "bad input, or a job that is not recorded; the reason is on standard error"],
    ["128 + n", "signal n ended the waiting; the jobs continue"],
  ],
  others: [
    ["0", "done"],
    ["1", "the output could not be written completely"],
    ["2", "bad input, or a request that cannot be fulfilled; the reason is on standard error"],
    ["70", "an internal error of ffrtmp"],
    ["128 + n", "signal n ended the waiting; the job continues"],
  ],
};

export const ENVIRONMENT: [name: string, meaning: string][] = [
  ["FFRTMP_STATE", "the state directory, unless --state-path is given"],
  ["NO_COLOR", "disable colours"],
  ["XDG_STATE_HOME", "the parent of the state directory of an ordinary user; ~/.local/state when unset"],
];

export const FILES: [path: string, meaning: string][] = [
  ["/var/lib/ffrtmp", "root's state directory: the ledger, the output of background jobs, ffrtmp's own log"],
  ["$XDG_STATE_HOME/ffrtmp", "the state directory of other users"],
  ["/etc/ffrtmp/policy.yaml", "the policy of ffrtmp-watch.service"],
];
