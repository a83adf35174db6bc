// What an operator should look at: worked out from the figures of all hosts.

import { bytes, count, duration, number } from './formats.js';

const OLD_AFTER = 15; // seconds; hosts state their figures every 5 s
const DAY = 86_400;

// Return [what, what to do, tone] for each thing.
export function attention(hosts) {
  const newest = Math.max(...hosts.map((host) => host.at));
  const versions = [...new Set(hosts.map((host) => host.version))];
  const found = hosts.flatMap((host) => ofHost(host, newest));
  if (versions.length > 1) {
    found.push([`The hosts run ${versions.length} versions.`, `They are ${versions.join(', ')}. Upgrade the older ones.`, 'warn']);
  }
  return found;
}

function ofHost(host, newest) {
  const found = [];
  const { name, redis, certificate_ends_at: end } = host;
  if (newest - host.at > OLD_AFTER) {
    found.push([`${name} says nothing.`, `Its last figures are ${duration(newest - host.at)} old. Look at its log.`, 'bad']);
  }
  if (host.draining) found.push([`${name} is draining.`, 'The server takes no new connections, and ends when its clients have left.', 'warn']);
  if (redis?.state === 'away') {
    found.push([`${name} has lost Redis.`, `${count(redis.waiting_events, 'event')} (${bytes(redis.waiting_bytes)}) wait. `
      + 'Its clients do not get the events of other hosts until Redis is back.', 'bad']);
  }
  if (end != null && end - Date.now() / 1000 < 14 * DAY) {
    const left = end - Date.now() / 1000;
    found.push([left > 0 ? `The certificate of ${name} ends in ${duration(left)}.` : `The certificate of ${name} has ended.`,
      'Renew it, then call soundpost reload.', left > 3 * DAY ? 'warn' : 'bad']);
  }
  if (host.max_open_files && host.open_files / host.max_open_files > 0.8) {
    found.push([`${name} has ${number(host.open_files)} of ${number(host.max_open_files)} open files.`,
      'Each connection takes one. Raise the limit (LimitNOFILE of systemd, ulimit -n).', 'bad']);
  }
  for (const endpoint of host.webhooks) {
    if (endpoint.stopped) {
      found.push([`Webhooks to ${endpoint.url} have stopped.`, 'The endpoint answered 410. It gets events again after ‘soundpost reload’.', 'bad']);
    } else if (endpoint.last_error) {
      found.push([`Webhooks to ${endpoint.url} fail.`, `At the last attempt the endpoint ${endpoint.last_error}. Events that wait: ${number(endpoint.waiting)}.`, 'bad']);
    }
  }
  return found;
}
