// Numbers, sizes and times in words.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const minutes = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

export const number = (value) => whole.format(value);

export const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

export function rate(value) {
  if (value >= 100_000) return short.format(value);
  return value >= 10 || value === 0 ? whole.format(value) : value.toFixed(1);
}

export function bytes(value) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

export function milliseconds(seconds) {
  const ms = seconds * 1000;
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms >= 100 || ms === 0 ? Math.round(ms) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
}

export const percent = (fraction) => `${fraction >= 0.1 || fraction === 0 ? Math.round(fraction * 100) : (fraction * 100).toFixed(1)} %`;

export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${count(Math.floor(s / 86_400), 'day')} ${Math.floor((s % 86_400) / 3600)} h`;
}

export const ago = (at) => {
  const seconds = Date.now() / 1000 - at;
  return seconds < 2 ? 'just now' : `${duration(seconds)} ago`;
};

export const date = (at) => day.format(at * 1000);
export const time = (at) => clock.format(at * 1000);
export const hour = (at) => minutes.format(at * 1000);

export const preciseTime = (at) => `${time(at)}.${String(Math.floor((at % 1) * 1000)).padStart(3, '0')}`;

export const moment = (at) => (date(at) === date(Date.now() / 1000) ? time(at) : `${date(at)}, ${time(at)}`);

export function kindOf(name) {
  if (name.startsWith('private-encrypted-')) return 'encrypted';
  if (name.startsWith('presence-')) return 'presence';
  if (name.startsWith('private-')) return 'private';
  if (name.startsWith('#server-to-user-')) return 'user';
  return name.startsWith('cache-') ? 'cache' : 'public';
}
