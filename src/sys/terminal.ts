import { syscall } from "./libc.ts";

// include/uapi/asm-generic/ioctls.h
const TIOCGWINSZ = 0x5413;

/** The size of a terminal, in characters. */
export interface TerminalSize {
  columns: number;
  rows: number;
}

/**
 * Returns the size of the terminal that a descriptor refers to. `"unknown"`: a terminal without a size, such as a serial
 * line. `undefined`: no terminal. The stream of the runtime has the size too, and takes 20 ms to load.
 */
export function readTerminalSize(fd: number): TerminalSize | "unknown" | undefined {
  // struct winsize { u16 ws_row, ws_col, ws_xpixel, ws_ypixel; }
  const size = new Uint16Array(4);
  if (syscall("ioctl", fd, TIOCGWINSZ, size) < 0) return undefined;
  const [rows = 0, columns = 0] = size;
  return columns === 0 ? "unknown" : { columns, rows };
}
