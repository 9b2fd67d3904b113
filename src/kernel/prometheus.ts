/** The text format of Prometheus 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/). */

export type MetricKind = 'counter' | 'gauge' | 'summary';

/** A family with its samples, as `sampleLine` made them. */
export function familyText(name: string, kind: MetricKind, help: string, lines: readonly string[]): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${lines.join('\n')}\n`;
}

export function sampleLine(name: string, labels: Readonly<Record<string, string>>, value: number): string {
  const quoted = (text: string) => text.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`));
  const all = Object.entries(labels).map(([label, text]) => `${label}="${quoted(text)}"`);
  return `${name}{${all.join(',')}} ${value}`;
}
