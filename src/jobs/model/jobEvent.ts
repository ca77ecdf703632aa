/** The event of a job that ended and left processes in its cgroup. */
export const LEFT_BEHIND = "left_behind";

/** The event that follows `LEFT_BEHIND` when the last of those processes has gone. */
export const LAST_GONE = "last_gone";
