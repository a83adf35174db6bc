// The overview: what the cluster does now, how the last hour went, hosts and workers.

import { Chart } from './charts.js';
import { card, el, heading, notice, replace } from './elements.js';
import { bytes, count, duration, milliseconds, number, percent, rate } from './formats.js';
import { attention } from './attention.js';
import { hostTable } from './hosts.js';
import { appsOf, sum } from './live.js';
import { link } from './routes.js';
import { scrollable } from './tables.js';

export const title = 'Overview';

const one = (value) => [{ name: '', value, tone: 1 }];

function charts() {
  return [
    new Chart('Connections', one((sample) => sample.connections), number, { least: 2 }),
    new Chart('Events a second', one((sample) => sample.events), rate),
    new Chart('Deliveries a second', one((sample) => sample.deliveries), rate),
    new Chart('Time to publish', [
      { name: 'p50', value: (sample) => sample.publish_p50, tone: 1 },
      { name: 'p99', value: (sample) => sample.publish_p99, tone: 2 },
    ], milliseconds),
    new Chart('Longest event loop lag', one((sample) => sample.lag_max), milliseconds),
    new Chart('Memory', one((sample) => sample.memory), bytes),
    new Chart('CPU', one((sample) => sample.cpu), percent),
    new Chart('Delivered a second', one((sample) => sample.delivered_bytes), bytes),
  ];
}

export function open(view, { live, signal, session }) {
  const state = el('p', { class: 'head-text' }, 'Loading');
  const tiles = el('dl', { class: 'tiles' });
  const notes = el('div', { class: 'notes' });
  const all = charts();
  const hosts = scrollable('hosts and workers');
  view.append(
    heading('Overview', state), notes,
    el('section', { class: 'card', 'aria-label': 'Totals' }, tiles),
    el('section', { class: 'charts', 'aria-label': `Charts of ${session.host}` },
      session.cluster && el('p', { class: 'hint wide' }, `The charts show this host, ${session.host}. Totals and the table are of all hosts.`),
      all.map((chart) => chart.element)),
    card('Hosts and workers', hosts),
  );
  const update = () => {
    const uptime = Date.now() / 1000 - Math.min(...live.hosts.map((host) => host.started_at));
    state.textContent = `${count(live.hosts.length, 'host')} · up ${duration(uptime)}`;
    replace(tiles, totals(live));
    replace(notes, attention(live.hosts).map(([strong, text, tone]) => notice(strong, text, tone)));
    if (live.samples.length) for (const chart of all) chart.show(live.samples);
    replace(hosts, hostTable(live));
  };
  live.listen(update, signal);
}

function totals(live) {
  const { hosts } = live;
  const ofApps = (name) => sum(hosts.flatMap(appsOf).map((app) => app[name]));
  const perSecond = (...names) => {
    const total = (host) => sum(appsOf(host).flatMap((app) => names.map((name) => app[name])));
    const rates = hosts.map((host) => live.rateOf(host, total));
    return rates.every((value) => value == null) ? '–' : rate(sum(rates));
  };
  const byReason = (reasons) => sum(Object.values(reasons));
  const refusals = sum(hosts.map((host) => byReason(host.refusals)
    + sum(appsOf(host).map((app) => byReason(app.refusals) + byReason(app.failed_authorizations)))));
  const channels = hosts.length === 1
    && sum(Object.values(hosts[0].channels).map((kinds) => sum(Object.values(kinds))));
  return [
    ['Connections', number(ofApps('connections'))],
    ['Subscriptions', number(ofApps('subscriptions'))],
    channels !== false && ['Channels', number(channels)],
    ['Events a second', perSecond('events', 'client_events')],
    ['Deliveries a second', perSecond('deliveries')],
    ['Refused since the start', el('a', { href: link('refused'), class: 'link', 'data-key': 'refused' }, number(refusals))],
  ].filter(Boolean).map(([name, value]) => el('div', null, el('dt', null, name), el('dd', null, value)));
}
