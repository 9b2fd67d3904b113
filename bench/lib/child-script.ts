import { fileURLToPath } from 'node:url';
import { MeasuredProcess } from './measured-process.ts';

/** Runs another file of this folder in a process of its own; what it prints are JSON lines. */
export class ChildScript {
  readonly lines: Readonly<Record<string, unknown>>[] = [];
  readonly process: MeasuredProcess;

  constructor(file: string, order: unknown) {
    const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
    this.process = new MeasuredProcess([process.execPath, '--import', 'tsx', path, JSON.stringify(order)], {
      onLine: (line) => {
        this.lines.push(JSON.parse(line) as Record<string, unknown>);
      },
    });
  }

  /** Waits for a line that has a field. */
  async said(field: string, timeoutMs: number): Promise<unknown> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const line = this.lines.find((each) => field in each);
      if (line) return line[field];
      if (!this.process.running || performance.now() > deadline)
        throw new Error(`the child said no ${field}:\n${this.process.tail}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Waits for its end; throws when it failed. */
  async end(): Promise<void> {
    const exit = await this.process.exited;
    if (exit.code !== 0) throw new Error(`the child ended with ${exit.code}:\n${this.process.tail}`);
  }
}
