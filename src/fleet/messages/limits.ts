/** The largest message that the hub takes: 256 KiB. */
export const MAX_MESSAGE_BYTES = 256 * 1024;
