/** The report as one HTML page that needs nothing else. Pure. */

import type { Evidence } from '../api.ts';
import { drawChart } from './chart.ts';
import type { ReportData } from './data.ts';
import { count, dataSize, timeOfDay, timeSpan } from './format.ts';
import { html, Markup } from './markup.ts';
import { marks, peaks, phaseBands, rate } from './series.ts';
import { STYLE } from './style.ts';
import { figures, headline, proved } from './words.ts';

const MOST_ROWS = 500;

export function reportPage(data: ReportData): string {
  const { status } = data;
  const differs = data.drift.length > 0 || (data.proof?.drift ?? 0) > 0;
  const tone = differs ? 'bad' : status.cutover.switchedAt === null ? '' : 'good';
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${status.run}: ${headline(data)}</title><style>${new Markup(STYLE)}</style></head><body><main>
<header><p>godwit migrate, run ${status.run}</p><h1 class="${tone}">${headline(data)}</h1>
<p><code>${status.from}</code> → <code>${status.to}</code></p></header>
<dl class="figures">${figures(data).map(({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
<h2>What was proved</h2><ul class="proved">${proved(data).map((sentence) => html`<li>${sentence}</li>`)}</ul>
${differences(data)}${judged(data)}${charts(data)}${collections(data)}${history(data)}
<footer>Started ${status.startedAt}, written ${status.at} by Godwit ${data.godwit}. 1 MB = 10^6 bytes. The same figures for programs: report.json.</footer>
</main></body></html>
`.text;
}

function charts(data: ReportData): Markup {
  const { samples, events, status } = data;
  const startMs = Math.min(Date.parse(status.startedAt), samples[0]?.atMs ?? Number.POSITIVE_INFINITY);
  const endMs = Math.max(samples[samples.length - 1]?.atMs ?? 0, events[events.length - 1]?.atMs ?? 0, startMs + 1000);
  const bands = phaseBands(events, startMs, endMs);
  const common = { bands, marks: marks(events), startMs, endMs, zeroMs: startMs };
  const copying = bands.filter((band) => band.phase === 'copying');
  const copy = copying[0] ? { startMs: copying[0].fromMs, endMs: copying[copying.length - 1]?.toMs ?? endMs } : {};
  const throughput = rate(samples, 'copyBytes').map((point) => ({ ...point, value: point.value / 1e6 }));
  const inCopy = throughput.filter((point) => point.atMs <= (copy.endMs ?? endMs) + 1000);
  return html`<h2>Over time</h2>
<p class="legend"><span class="fault"><i></i><b>fault</b></span><span class="throttle"><i></i><b>throttle</b></span><span class="cutover"><i></i><b>cutover</b></span>shaded: phases; time since the start</p>
${drawChart({ ...common, ...copy, title: 'Copy', unit: 'MB/s, while copying', points: inCopy })}
${drawChart({ ...common, title: 'Log', unit: 'entries applied/s', points: rate(samples, 'entriesApplied') })}
${drawChart({ ...common, title: 'Lag', unit: 'seconds between a commit at the source and its being durable at the target', points: peaks(samples, 'lagSeconds') })}`;
}

function collections({ status }: ReportData): Markup {
  const rows = status.copy.collections
    .slice(0, MOST_ROWS)
    .map(
      (row) =>
        html`<tr><td><code>${row.namespace}</code>${row.target === row.namespace ? '' : html` → <code>${row.target}</code>`}</td><td>${row.state}</td><td class="n">${count(row.docs)}</td><td class="n">${dataSize(row.bytes)}</td></tr>`,
    );
  if (rows.length === 0) return html``;
  return html`<h2>Collections</h2><div class="scroll"><table><tr><th>namespace</th><th>state</th><th class="n">documents</th><th class="n">data</th></tr>${rows}</table></div>
${more(status.copy.collections.length)}`;
}

function differences({ drift }: ReportData): Markup {
  if (drift.length === 0) return html``;
  const rows = drift
    .slice(0, MOST_ROWS)
    .map(
      (row) =>
        html`<tr><td>${row.kind}</td><td><code>${row.unit}</code></td><td><code>${row.key}</code></td><td><code>${row.sourceDigest ?? '-'}</code></td><td><code>${row.targetDigest ?? '-'}</code></td><td>${row.note ?? ''}</td></tr>`,
    );
  return html`<h2>Differences</h2><div class="scroll"><table><tr><th>kind</th><th>namespace</th><th>key</th><th>source</th><th>target</th><th></th></tr>${rows}</table></div>
${more(drift.length)}`;
}

function judged({ detection }: ReportData): Markup {
  if (detection === null) return html``;
  const { sample, late, wrong, docs, appliedTo, spooledTo, truncated } = detection;
  const rows = sample.map(
    (row) =>
      html`<tr><td>${row.verdict}</td><td><code>${row.unit}</code></td><td><code>${row.key}</code></td><td><code>${row.sourceDigest ?? '-'}</code></td><td><code>${row.targetDigest ?? '-'}</code></td><td><code>${row.beforeDigest ?? '-'}</code></td><td>${entryText(row)}</td><td>${row.reason}</td></tr>`,
  );
  const least = truncated ? 'at least ' : '';
  return html`<h2>Late or wrong</h2><p>${count(docs)} documents were compared with the log applied up to ${appliedTo} and read up to ${spooledTo}: ${least}${count(late)} late, ${least}${count(wrong)} wrong. Late means that the target holds the old value and that the log has the change; wrong, that no change on its way explains the difference.</p>
<div class="scroll"><table><tr><th>verdict</th><th>namespace</th><th>key</th><th>source</th><th>target</th><th>source, before</th><th>log entry</th><th>because</th></tr>${rows}</table></div>`;
}

function entryText({ entry }: Evidence): string {
  return entry ? `${entry.kind} at ${entry.at}, ${entry.applied ? 'applied' : 'not applied'}` : '-';
}

function history({ events, status }: ReportData): Markup {
  const startMs = Date.parse(status.startedAt);
  const rows = events.slice(-MOST_ROWS).map((event) => {
    const facts = Object.entries(event.data).map(
      ([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`,
    );
    const after = timeSpan(Math.max(0, event.atMs - startMs) / 1000);
    return html`<tr><td class="t">${timeOfDay(new Date(event.atMs).toISOString())}</td><td class="t n">${after}</td><td>${event.kind}</td><td>${facts.join(', ')}</td></tr>`;
  });
  return html`<h2>What happened</h2><details ${rows.length <= 30 ? 'open' : ''}><summary>${rows.length} events</summary><div class="scroll"><table><tr><th>time</th><th class="n">after</th><th>event</th><th></th></tr>${rows}</table></div></details>
${more(events.length)}`;
}

function more(length: number): Markup {
  return length > MOST_ROWS ? html`<p class="legend">${length - MOST_ROWS} more in report.json</p>` : html``;
}
