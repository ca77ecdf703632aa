import { lastName } from "../../sys/paths.ts";

/** Leaves room in a file name (255 bytes) for the prefix and suffix that ffrtmp adds. */
const MAX_JOB_ID = 128;

/** Returns what is wrong with a job id, or `undefined`. Job ids are part of file, cgroup and unit names. */
export function faultInJobId(jobId: string): string | undefined {
  if (jobId === "") return "it is empty";
  if (jobId.length > MAX_JOB_ID)
    return `it has ${jobId.length} characters, and at most ${MAX_JOB_ID} are allowed`;
  const position = jobId.search(/[^A-Za-z0-9._-]/);
  if (position >= 0) {
    const character = String.fromCodePoint(jobId.codePointAt(position) as number);
    return `character ${position + 1} is ${JSON.stringify(character)}; letters, digits, ".", "_" and "-" are allowed`;
  }
  return /^[A-Za-z0-9]/.test(jobId) ? undefined : "it does not start with a letter or a digit";
}

/** The part of a command's name that a generated id contains. */
const MAX_NAME = 40;

function isAlphanumeric(character: string): boolean {
  return (
    (character >= "a" && character <= "z") ||
    (character >= "A" && character <= "Z") ||
    (character >= "0" && character <= "9")
  );
}

/** Returns a job id from the command, the time and two random digits: `ffmpeg-1j8k2m0q-4f`. */
export function generateJobId(command: string, now: number): string {
  // The last part of a URL, which is no command, may be a stream key.
  let name = "";
  const last = command.includes("://") ? "" : lastName(command);
  for (let index = 0; index < last.length; index++) {
    const character = last[index] as string;
    const isAllowed = isAlphanumeric(character) || (name !== "" && "._-".includes(character));
    if (isAllowed && name.length < MAX_NAME) name += character;
  }
  // Not by `crypto`, which takes 0.3 ms to load.
  const random = Math.floor(256 * Math.random())
    .toString(16)
    .padStart(2, "0");
  return `${name || "job"}-${now.toString(36)}-${random}`;
}

/** Returns the name of a job's cgroup directories. The tag distinguishes state directories. */
export function groupName(tag: string, jobId: string): string {
  return `ffrtmp-${tag}-${jobId}`;
}
