// The apps of the server, with what they do.

import { el, empty, heading, replace } from './elements.js';
import { bytes, number, rate } from './formats.js';
import { sum } from './live.js';
import { link } from './routes.js';
import { scrollable, table } from './tables.js';

export const title = 'Apps';

const COLUMNS = [['App', null], ['Connections', 'amount'], ['Subscriptions', 'amount'], ['Events a second', 'amount'],
  ['Deliveries a second', 'amount'], ['Delivered', 'amount'], ['Refused', 'amount'], ['History', null], ['Webhooks', 'amount']];

export function open(view, { live, signal, session }) {
  const body = scrollable('apps');
  view.append(heading('Apps', el('p', { class: 'head-text' }, 'Figures since the start of the hosts')), el('div', { class: 'card list-card' }, body));
  const show = () => replace(body, session.apps.length ? table('apps', COLUMNS, session.apps.map((app) => row(app, live)))
    : empty('The server has no app.', 'Clients connect to an app, which has a key and a secret. Add one below [[apps]] in soundpost.toml.'));
  show();
  live.listen(show, signal);
}

function row(app, live) {
  const figures = live.hosts.map((host) => host.apps[app.id]).filter(Boolean);
  const total = (name) => sum(figures.map((one) => one[name]));
  const perSecond = (...names) => {
    const rates = live.hosts.map((host) => live.rateOf(host, (one) => sum(names.map((name) => one.apps[app.id]?.[name]))));
    return rates.every((value) => value == null) ? '–' : rate(sum(rates));
  };
  const refused = sum(figures.flatMap((one) => [...Object.values(one.refusals), ...Object.values(one.failed_authorizations)]));
  const amount = (value) => el('td', { class: 'amount' }, value);
  return el('tr', null,
    el('th', { scope: 'row' }, el('a', { class: 'name', 'data-key': app.id, href: link('channels', { app: app.id }) }, app.id),
      !app.enabled && el('span', { class: 'badge', 'data-tone': 'warn' }, 'switched off')),
    amount(number(total('connections'))), amount(number(total('subscriptions'))),
    amount(perSecond('events', 'client_events')), amount(perSecond('deliveries')), amount(bytes(total('delivered_bytes'))),
    amount(refused ? el('a', { class: 'link', 'data-key': `refused ${app.id}`, href: link('refused', { query: { search: app.id } }) }, number(refused)) : '0'),
    el('td', null, app.history ? 'kept' : 'off'), amount(number(app.webhooks)));
}
