/**
 * Numbers as people read them. Data is counted in decimal units
 * (1 MB = 10^6 bytes); memory, which is sold in binary ones, in MiB.
 */
const DECIMAL = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;
const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
const COUNT = ['', 'k', 'M', 'G'] as const;

/** Three digits that matter, no more: 9.53, 95.3, 953. */
function threeDigits(value: number): string {
  if (value >= 99.95 || value === 0) return value.toFixed(0);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

function scaled(value: number, base: number, units: readonly string[]): string {
  let unit = 0;
  let rest = Math.max(0, value);
  while (rest >= base - 0.5 && unit < units.length - 1) {
    rest /= base;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(rest) : threeDigits(rest)} ${units[unit]}`.trim();
}

export function dataSize(bytes: number): string {
  return scaled(bytes, 1000, DECIMAL);
}

export function memorySize(bytes: number): string {
  return scaled(bytes, 1024, BINARY);
}

export function count(value: number): string {
  return scaled(value, 1000, COUNT);
}

export function percent(done: number, total: number): string {
  if (total <= 0) return '100 %';
  // 100 % is said only when nothing is left: estimates may be overrun or nearly met.
  const share = (done / total) * 100;
  return `${done >= total ? 100 : Math.min(99, Math.floor(share))} %`;
}

export function timeSpan(seconds: number): string {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const hours = Math.floor(whole / 3600);
  return hours < 48
    ? `${hours} h ${Math.floor((whole % 3600) / 60)} min`
    : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Time of day, UTC, of an ISO 8601 instant. */
export function timeOfDay(iso: string): string {
  const instant = new Date(iso);
  return Number.isNaN(instant.getTime()) ? iso : `${instant.toISOString().slice(11, 19)}Z`;
}

/** Names and messages come from servers: control characters in them must not reach the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}]+/gu, ' ');
}
