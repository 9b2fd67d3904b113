/** Draws one chart as inline SVG; its colours are the page's CSS variables. Pure. */
import { html, type Markup } from './markup.ts';
import type { Band, Mark, Point } from './series.ts';

export interface Chart {
  readonly title: string;
  /** Said in the title and read out: what the values are. */
  readonly unit: string;
  readonly points: readonly Point[];
  readonly bands: readonly Band[];
  readonly marks: readonly Mark[];
  readonly startMs: number;
  readonly endMs: number;
  /** Marks on the axis are counted from here. */
  readonly zeroMs: number;
}

const WIDTH = 880;
const HEIGHT = 210;
const LEFT = 58;
const RIGHT = 12;
const TOP = 34;
const BOTTOM = 26;
const LETTER = 6.2;

export function drawChart(chart: Chart): Markup {
  const spanMs = Math.max(1, chart.endMs - chart.startMs);
  const top = niceTop(Math.max(0, ...chart.points.map((point) => point.value)));
  const x = (atMs: number) =>
    LEFT + ((Math.min(chart.endMs, Math.max(chart.startMs, atMs)) - chart.startMs) / spanMs) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
  return html`<figure><figcaption>${chart.title} <span>${chart.unit}</span></figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${chart.title}, ${chart.unit}">
${bands(chart, x)}${grid(top, y)}${timeAxis(chart, spanMs, x)}${curve(chart.points, x, y)}${markLines(chart, x)}
</svg></figure>`;
}

type Scale = (value: number) => number;

function bands(chart: Chart, x: Scale): readonly Markup[] {
  return chart.bands
    .filter((band) => band.toMs >= chart.startMs && band.fromMs <= chart.endMs)
    .map((band, index) => {
      const from = x(band.fromMs);
      const width = Math.max(1, x(band.toMs) - from);
      const label = band.phase.length * LETTER + 8 <= width;
      return html`<rect class="band${index % 2}" x="${px(from)}" y="16" width="${px(width)}" height="${HEIGHT - BOTTOM - 16}"><title>${band.phase}</title></rect>
${label ? html`<text class="phase" x="${px(from + 4)}" y="12">${band.phase}</text>` : ''}`;
    });
}

function grid(top: number, y: Scale): readonly Markup[] {
  return [0, 0.5, 1].map(
    (
      share,
    ) => html`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${px(y(top * share))}" y2="${px(y(top * share))}"/>
<text class="tick" x="${LEFT - 8}" y="${px(y(top * share) + 4)}" text-anchor="end">${axisNumber(top * share)}</text>`,
  );
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800];
const MOST_TICKS = 10;

function timeAxis(chart: Chart, spanMs: number, x: Scale): readonly Markup[] {
  const step = TIME_STEPS.find((seconds) => spanMs / 1000 / seconds <= MOST_TICKS) ?? spanMs / 1000 / MOST_TICKS;
  const ticks: Markup[] = [];
  const first = Math.ceil((chart.startMs - chart.zeroMs) / 1000 / step) * step;
  for (let at = first; chart.zeroMs + at * 1000 <= chart.endMs; at += step) {
    const anchor = x(chart.zeroMs + at * 1000) > WIDTH - RIGHT - 20 ? 'end' : 'middle';
    ticks.push(
      html`<text class="tick" x="${px(x(chart.zeroMs + at * 1000))}" y="${HEIGHT - 8}" text-anchor="${anchor}">${elapsed(at)}</text>`,
    );
  }
  return ticks;
}

function curve(points: readonly Point[], x: Scale, y: Scale): Markup {
  const first = points[0];
  const last = points[points.length - 1];
  if (!first || !last)
    return html`<text class="tick" x="${WIDTH / 2}" y="${HEIGHT / 2}" text-anchor="middle">not measured</text>`;
  const path = points.map((point) => `${px(x(point.atMs))},${px(y(point.value))}`).join(' L');
  return html`<path class="area" d="M${px(x(first.atMs))},${px(y(0))} L${path} L${px(x(last.atMs))},${px(y(0))} Z"/>
<path class="line" d="M${path}"/>`;
}

function markLines(chart: Chart, x: Scale): readonly Markup[] {
  return chart.marks
    .filter((mark) => mark.atMs >= chart.startMs && mark.atMs <= chart.endMs)
    .map((mark) => {
      const at = px(x(mark.atMs));
      return html`<g class="mark ${mark.kind}"><title>${mark.words}</title><line x1="${at}" x2="${at}" y1="22" y2="${HEIGHT - BOTTOM}"/><circle cx="${at}" cy="22" r="3.5"/></g>`;
    });
}

/** The next of 1, 2, 5 × 10^n at or above the value. */
function niceTop(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= value) ?? 10;
  return step * power;
}

function axisNumber(value: number): string {
  if (value >= 10_000) return `${value / 1000} k`;
  return String(Number(value.toPrecision(3)));
}

function elapsed(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const rest = seconds % 60;
  if (hours > 0) return minutes > 0 ? `${hours} h ${minutes}` : `${hours} h`;
  return rest > 0 ? `${minutes}:${String(rest).padStart(2, '0')}` : `${minutes} min`;
}

/** A coordinate: a tenth of a pixel is finer than anybody sees. */
function px(value: number): string {
  return value.toFixed(1);
}
