/** How many jobs of the fleet run at once, apart from what reads files: command lines are parsed before that is loaded. */
export const DEFAULT_SLOTS = 1;
/** More jobs at once are no use of a machine. */
export const MAX_SLOTS = 1000;
