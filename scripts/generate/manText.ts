/** What a manual says besides what the definitions of commands and options hold. */
export interface ManText {
  /** Paragraphs. */
  description: string[];
  /** A sentence and the command line that it is about. */
  examples: [text: string, line: string][];
}

/** By the words of the command. A command that is not here has what its definition says, and that is whole. */
export const MAN_TEXTS: Record<string, ManText> = {
  ffrtmp: {
    description: [
      "ffrtmp starts workloads (run), takes running ones under governance (attach), finds them by itself (watch), limits and measures them through cgroups, and keeps one record of what became of each.",
      "It owns none of them. It sends no signal, traces nothing and reads no memory; its own death, at any instant, changes nothing for a workload. Every limit is read back from the kernel and reported as applied, partial, refused or unsupported, with the reason. An exit code is on record with its evidence or as unknown with the reason.",
    ],
    examples: [
      [
        "Start a transcode with one and a half cores and 2 GiB at most, and come back to the prompt:",
        "ffrtmp run -d --job-id transcode-001 --cpu-quota 150 --memory-max 2G -- ffmpeg -i in.mp4 out.mp4",
      ],
      ["See what is governed now, and what ended how:", "ffrtmp ps; ffrtmp history"],
      ["See what this machine allows:", "ffrtmp doctor"],
    ],
  },
  "ffrtmp run": {
    description: [
      "The command runs in a session and process group of its own, inside its cgroup from its first instruction, with the caller's own standard output and error. A terminal as standard input becomes /dev/null.",
      "SIGINT, SIGTERM and SIGHUP to ffrtmp end the waiting and not the command: it goes on with its limits, and ffrtmp says how to follow it.",
    ],
    examples: [
      [
        "Wait for a transcode that has one core:",
        "ffrtmp run --cpu-quota 100 -- ffmpeg -nostdin -i in.mp4 out.mp4",
      ],
    ],
  },
  "ffrtmp attach": {
    description: [
      "The process and its descendants are moved into a child of the cgroup that they are in, so that every limit that held goes on holding. Ctrl-C ends the observing; the limits stay and the process goes on.",
    ],
    examples: [["Hold a process to half a core:", "ffrtmp attach --pid 4026 --cpu-quota 50"]],
  },
  "ffrtmp detach": {
    description: [
      "Cgroup membership, nice and everything else that was touched is put back as it was before. The processes go on.",
    ],
    examples: [],
  },
  "ffrtmp watch": {
    description: [
      "One watch works with a state directory. When it ends, whatever ends it, every job goes on with its limits; the next one takes them over. The system's own is started by systemd as ffrtmp-watch.service where that is installed.",
    ],
    examples: [
      [
        "Say what would be governed, and touch nothing:",
        "ffrtmp watch --dry-run --target ffmpeg --target gst-launch-1.0",
      ],
    ],
  },
};

/** Exit codes by what command they are of; the rest are every command's. */
export const EXIT_CODES: Record<"run" | "others", [code: string, meaning: string][]> = {
  run: [
    ["N", "the command's own code; 128 + n where signal n ended it"],
    ["125", "ffrtmp itself failed or refused"],
    ["126", "the command cannot be executed"],
    ["127", "the command was not found"],
  ],
  others: [
    ["0", "done"],
    ["1", "the output could not be written whole"],
    ["2", "bad input, or a request that cannot be fulfilled; what stands in the way is on standard error"],
    ["70", "a fault of ffrtmp itself"],
    ["128 + n", "signal n ended the waiting; the job goes on"],
  ],
};

export const ENVIRONMENT: [name: string, meaning: string][] = [
  ["FFRTMP_STATE", "the state directory, where --state-path does not name one"],
  ["NO_COLOR", "no colours, whatever the terminal can show"],
  ["XDG_STATE_HOME", "where the state directory of an ordinary user lies; ~/.local/state when unset"],
];

export const FILES: [path: string, meaning: string][] = [
  ["/var/lib/ffrtmp", "root's state directory: the ledger, the output of background jobs, ffrtmp's own log"],
  ["$XDG_STATE_HOME/ffrtmp", "the state directory of others"],
  ["/etc/ffrtmp/policy.yaml", "what ffrtmp-watch.service governs, and with which limits"],
];
