export interface BenchmarkOptions {
  /** Fewer rounds: for a first look, not for figures to keep. */
  quick: boolean;
}

export interface Benchmark {
  title: string;
  /** Programs that it needs, with the Debian package that has each. */
  needs: Record<string, string>;
  /** Returns Markdown. */
  run(options: BenchmarkOptions): Promise<string>;
}

export function progress(text: string): void {
  console.error(`  ${text}`);
}
