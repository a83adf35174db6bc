// The connections of an app: search, channel, user, pages.

import { appPath, get } from './api.js';
import { el, empty, heading, searchField } from './elements.js';
import { bytes, duration, number } from './formats.js';
import { pagedList } from './paging.js';
import { link } from './routes.js';

export const title = 'Connections';

const COLUMNS = [['Socket id', null], ['User', null], ['Client', null], ['Address', null], ['Origin', null],
  ['Channels', 'amount'], ['For', 'amount'], ['Where', null]];

export function open(view, { app, route: { query }, signal }) {
  const search = searchField('search', 'Search socket, user, address, client', query.search);
  const text = (id, label, value) => el('input', {
    id, value, placeholder: label, 'aria-label': label, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', maxlength: '200',
  });
  const channel = text('channel', 'On channel', query.channel);
  const user = text('user', 'Of user', query.user);
  const form = el('form', { class: 'filters', role: 'search' }, search, channel, user);
  view.append(heading('Connections', el('p', { class: 'head-text' }, 'Connected clients')), pagedList({
    signal, name: 'connections', form, columns: COLUMNS,
    fields: { search: search.querySelector('input'), channel, user },
    load: async (asked, aborted) => {
      const page = await get(appPath(app, 'connections'), asked, aborted);
      return { ...page, rows: page.connections };
    },
    row: (line) => row(line, app),
    nothing: (asked) => (asked.search || asked.channel || asked.user
      ? empty('No connection matches.', 'Channel and user must be whole names; the search takes any part. A client that was refused has no connection: see ',
        el('a', { href: link('refused'), class: 'link' }, 'Refused'), '.')
      : empty('No client is connected to this app.', 'If some should be, see ',
        el('a', { href: link('refused'), class: 'link' }, 'who was refused, and why'), '.')),
  }));
}

function row(line, app) {
  return el('tr', null,
    el('th', { scope: 'row' }, el('a', { href: link('connections', { app, name: line.socket_id }), class: 'name mono', 'data-key': line.socket_id }, line.socket_id)),
    el('td', null, el('span', { class: 'cut' }, line.user_id ?? '–')),
    el('td', null, el('span', { class: 'cut' }, line.client || '–')),
    el('td', { class: 'mono' }, line.address || '–'),
    el('td', null, el('span', { class: 'cut' }, line.origin || '–')),
    el('td', { class: 'amount' }, number(line.channels)),
    el('td', { class: 'amount when' }, duration(Date.now() / 1000 - line.since)),
    el('td', { class: 'soft where' }, line.worker || '–', line.waiting_bytes > 0 && el('span', { class: 'badge', 'data-tone': 'warn' }, `${bytes(line.waiting_bytes)} wait`)));
}
