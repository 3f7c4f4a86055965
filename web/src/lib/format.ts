/** Numbers, sizes and times as people read them. SI prefixes throughout: 1 kB is 1000 bytes. */

const PREFIXES = ['', 'k', 'M', 'G', 'T', 'P', 'E'];

/** Three significant digits and the SI prefix: `12.4`, `M`. */
export function scale(value: number): { digits: string; prefix: string } {
  if (!Number.isFinite(value)) return { digits: '–', prefix: '' };
  let size = Math.abs(value);
  let step = 0;
  // 999.5 would be shown as 1000 of the smaller unit.
  while (size >= 999.5 && step < PREFIXES.length - 1) {
    size /= 1000;
    step += 1;
  }
  const places = step === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  const sign = value < 0 ? '−' : '';
  return { digits: sign + size.toFixed(places), prefix: PREFIXES[step] ?? '' };
}

/** A plain count: `1.24k`, `310`. */
export function count(value: number): string {
  const { digits, prefix } = scale(Math.round(value));
  return digits + prefix;
}

/** A count with all its digits: `1 234 567`, for where exactness is the point. */
export function exact(value: number): string {
  return Math.round(value).toLocaleString('en').replaceAll(',', '\u202f');
}

/** A size: `1.24 MB`. */
export function bytes(value: number): string {
  const { digits, prefix } = scale(Math.round(value));
  return `${digits} ${prefix}B`;
}

/** A rate given in bytes per second: `9.92 Mbit/s`. */
export function bitRate(bytesPerSecond: number): string {
  const { digits, prefix } = scale(Math.round(bytesPerSecond * 8));
  return `${digits} ${prefix}bit/s`;
}

/** A length of time in microseconds: `420 µs`, `12.4 ms`, `3.2 s`, `4 min 10 s`. */
export function duration(micros: number | null | undefined): string {
  if (micros === null || micros === undefined) return '–';
  if (micros < 1_000) return `${Math.max(0, Math.round(micros))} µs`;
  if (micros < 999_500) return `${significant(micros / 1_000)} ms`;
  const seconds = micros / 1_000_000;
  if (seconds < 59.95) return `${significant(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3_600) return join(Math.floor(whole / 60), 'min', whole % 60, 's');
  const minutes = Math.floor(whole / 60);
  if (whole < 86_400) return join(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.floor(minutes / 60);
  return join(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

function join(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

function significant(value: number): string {
  return value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2);
}

/** A part of a whole in percent: `0.32 %`, `< 0.01 %`, `–` where there is no whole. */
export function percent(part: number, whole: number): string {
  if (whole <= 0) return '–';
  const value = (part / whole) * 100;
  if (value === 0) return '0 %';
  if (value < 0.01) return '< 0.01 %';
  return `${value.toFixed(value >= 9.995 ? 1 : 2)} %`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const MOMENT = new Intl.DateTimeFormat(undefined, {
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hourCycle: 'h23',
});

/** The local time of day of a moment in seconds. */
export function clock(seconds: number): string {
  return CLOCK.format(seconds * 1000);
}

/** A moment in microseconds, local, with its day and milliseconds. */
export function moment(micros: number): string {
  return MOMENT.format(micros / 1000);
}

/** The day of a moment in seconds, in UTC: `2026-01-31`; certificates may have any. */
export function day(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? '–' : date.toISOString().slice(0, -14).replace(/^\+0*/, '');
}

/** The protocol that a flow is best called by: what was recognised, else the transport. */
export function protocolOf(flow: { app_proto?: string | null; proto: string }): string {
  return flow.app_proto || flow.proto.toLowerCase();
}

/** An address with its port; IPv6 in brackets, no port for protocols without. */
export function endpoint(addr: string, port: number): string {
  if (port === 0) return addr;
  return addr.includes(':') ? `[${addr}]:${port}` : `${addr}:${port}`;
}
