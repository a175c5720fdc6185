// How numbers are written. A dash is a number there is none of.

const NONE = '–';
const UNIT = '\u00a0';
const known = (value) => typeof value === 'number' && Number.isFinite(value);

/** Requests per second. */
export function rate(value) {
  if (!known(value)) return NONE;
  if (value === 0) return '0';
  if (value < 0.1) return '<0.1';
  if (value < 10) return value.toFixed(1);
  return Math.round(value).toLocaleString('en');
}

/** A whole number. */
export function count(value) {
  return known(value) ? value.toLocaleString('en') : NONE;
}

/** A share of 1 as percent. */
export function ratio(value) {
  if (!known(value)) return NONE;
  const percent = value * 100;
  if (percent === 0) return `0${UNIT}%`;
  if (percent < 0.1) return `<0.1${UNIT}%`;
  if (percent < 100 && percent > 99.9) return `>99.9${UNIT}%`;
  return `${Number(percent.toFixed(1))}${UNIT}%`;
}

/** Percent with as many decimals as it has, two at most. */
export function percent(value) {
  return known(value) ? `${Number(value.toFixed(2))}${UNIT}%` : NONE;
}

/** Seconds, in the unit people say them in. */
export function duration(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds === 0) return '0';
  const ms = seconds * 1000;
  if (ms < 1) return `${ms.toFixed(2)}${UNIT}ms`;
  if (ms < 10) return `${ms.toFixed(1)}${UNIT}ms`;
  if (ms < 1000) return `${Math.round(ms)}${UNIT}ms`;
  return `${seconds.toFixed(seconds < 10 ? 2 : 1)}${UNIT}s`;
}

/** A long time, roughly. */
export function age(seconds) {
  if (!known(seconds)) return NONE;
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(whole / unit));
  const two = (value, unit, rest, small) => `${value}${UNIT}${unit}${rest ? ` ${rest}${UNIT}${small}` : ''}`;
  if (days) return two(days, 'd', hours % 24, 'h');
  if (hours) return two(hours, 'h', minutes % 60, 'min');
  if (minutes) return two(minutes, 'min', whole % 60, 's');
  return `${whole}${UNIT}s`;
}

/** A time of day. */
export function clock(when) {
  const date = new Date(when);
  return Number.isNaN(date.getTime()) ? NONE : date.toLocaleTimeString('en-GB');
}
