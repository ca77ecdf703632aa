export interface BenchmarkOptions {
  /** Fewer rounds: for a first impression, not for recorded figures. */
  quick: boolean;
}

export interface Benchmark {
  title: string;
  /** The programs that it needs, each with its Debian package. */
  needs: Record<string, string>;
  /** Returns Markdown. */
  run(options: BenchmarkOptions): Promise<string>;
}

export function progress(text: string): void {
  console.error(`  ${text}`);
}
