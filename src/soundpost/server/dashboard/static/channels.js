// The channels of an app that have subscribers: search, kind, pages.

import { appPath, get } from './api.js';
import { el, empty, heading, icon, searchField, select } from './elements.js';
import { ago, kindOf, number } from './formats.js';
import { pagedList } from './paging.js';
import { link } from './routes.js';

export const title = 'Channels';

const KINDS = [['', 'All kinds'], ['public', 'Public'], ['private', 'Private'], ['presence', 'Presence'],
  ['encrypted', 'Encrypted'], ['cache', 'Cache']];
const COLUMNS = [['Channel', null], ['Kind', null], ['Subscribers', 'amount'], ['Members', 'amount'], ['Last event', null], ['When', null]];

export function open(view, { app, route, signal }) {
  const search = searchField('search', 'Search channels', route.query.search);
  const kind = select('kind', 'Kind', KINDS, route.query.kind || '');
  const form = el('form', { class: 'filters', role: 'search' }, search, kind);
  view.append(heading('Channels', el('p', { class: 'head-text' }, 'Channels with subscribers')), pagedList({
    signal, name: 'channels', form, columns: COLUMNS,
    fields: { search: search.querySelector('input'), kind },
    load: async (query, aborted) => {
      const page = await get(appPath(app, 'channels'), query, aborted);
      return { ...page, rows: page.channels };
    },
    row: (line) => row(line, app),
    nothing: (query) => (query.search || query.kind
      ? empty('No channel matches.', 'Only channels that have subscribers are listed. Search for a part of the name, and choose all kinds.')
      : empty('Nobody is subscribed to a channel.', 'A channel appears here as soon as a client subscribes to it. If clients should be connected, see ',
        el('a', { href: link('refused'), class: 'link' }, 'who was refused'), '.')),
  }));
}

function row(line, app) {
  const kind = kindOf(line.name);
  return el('tr', null,
    el('th', { scope: 'row' }, el('a', { href: link('channels', { app, name: line.name }), class: 'name', 'data-key': line.name }, line.name)),
    el('td', null, el('span', { class: 'kind' }, icon(kind), kind)),
    el('td', { class: 'amount' }, number(line.subscribers)),
    el('td', { class: 'amount' }, line.members == null ? '–' : number(line.members)),
    el('td', null, el('span', { class: 'cut' }, line.last_event || '–')),
    el('td', { class: 'soft when' }, line.last_event_at == null ? '–' : ago(line.last_event_at)));
}
