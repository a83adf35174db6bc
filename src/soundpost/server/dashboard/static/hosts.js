// The table of hosts and their workers.

import { el } from './elements.js';
import { bytes, count, date, duration, milliseconds, number, percent } from './formats.js';
import { appsOf, sum } from './live.js';
import { table } from './tables.js';

const COLUMNS = [['Host', null], ['Connections', 'amount'], ['CPU', 'amount'], ['Memory', 'amount'], ['Lag', 'amount'], ['Open files', 'amount'],
  ['Up', null], ['Redis', null], ['Certificate', null]];

export function hostTable(live) {
  return table('Hosts and workers', COLUMNS, ...live.hosts.map((host) =>
    [hostRow(live, host), ...(host.workers.length > 1 ? workerRows(live, host) : [])]));
}

const cpu = (value) => (value == null ? '–' : percent(value));
const amount = (value) => el('td', { class: 'amount' }, value);

function hostRow(live, host) {
  const state = host.draining ? 'draining' : `${host.version}`;
  return el('tr', null,
    el('th', { scope: 'row' }, el('strong', null, host.name), el('span', { class: 'soft' }, `:${host.port} `), el('span', { class: 'badge' }, state)),
    amount(number(sum(appsOf(host).map((app) => app.connections)))),
    amount(cpu(live.rateOf(host, (one) => one.cpu))),
    amount(bytes(host.memory)),
    amount(milliseconds(Math.max(0, ...host.workers.map((worker) => worker.lag_max)))),
    amount(host.max_open_files ? `${number(host.open_files)} of ${number(host.max_open_files)}` : number(host.open_files)),
    el('td', null, duration(host.at - host.started_at)),
    el('td', null, host.redis ? redisState(host.redis) : 'not used'),
    el('td', null, host.certificate_ends_at == null ? 'none' : `until ${date(host.certificate_ends_at)}`));
}

function redisState(redis) {
  const waits = redis.waiting_events ? `, ${count(redis.waiting_events, 'event')} waiting` : '';
  return el('span', { class: 'state', 'data-tone': redis.state === 'connected' ? 'good' : 'bad' }, redis.state + waits);
}

function workerRows(live, host) {
  return host.workers.map((worker) => {
    const find = (one) => one.workers.find(({ pid }) => pid === worker.pid)?.cpu;
    return el('tr', { class: 'worker' },
      el('th', { scope: 'row' }, worker.number ? `worker ${worker.number}` : 'parent', el('span', { class: 'soft' }, worker.pid ? ` pid ${worker.pid}` : ' has ended, waits for its next start')),
      amount(number(worker.connections)), amount(cpu(live.rateOf(host, find))), amount(bytes(worker.memory)),
      amount(milliseconds(worker.lag_max)), amount(''),
      el('td', { colspan: '3', class: 'soft', 'data-column': '' }, worker.restarts ? `started again ${count(worker.restarts, 'time')}` : ''));
  });
}

