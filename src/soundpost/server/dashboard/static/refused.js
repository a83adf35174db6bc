// Why clients, subscriptions, sign-ins and requests were refused, newest first.

import { get } from './api.js';
import { el, empty, heading, replace, searchField, select } from './elements.js';
import { ago, count, moment } from './formats.js';
import { missingNotice } from './paging.js';
import { keepFresh } from './refreshing.js';
import { noteQuery } from './routes.js';

export const title = 'Refused';

const KINDS = [['', 'All kinds'], ['connection', 'Connections'], ['subscription', 'Subscriptions'], ['sign-in', 'Sign-ins'],
  ['api', 'API requests'], ['client-event', 'Client events']];

export function open(view, { route: { query }, signal }) {
  const search = searchField('search', 'Search reason, origin, address, channel', query.search);
  const kind = select('kind', 'Kind', KINDS, query.kind || '');
  const form = el('form', { class: 'filters', role: 'search' }, search, kind);
  const trouble = el('div');
  const body = el('div', { class: 'stack' });
  view.append(heading('Refused', el('p', { class: 'head-text' }, 'Refused clients and requests, with the reason and the way out')), form, trouble, body);
  let refusals = [];
  let missing = [];
  const show = () => {
    const wanted = search.querySelector('input').value.trim().toLowerCase();
    const found = refusals.filter((line) => (!kind.value || line.kind === kind.value)
      && [line.reason, line.origin, line.address, line.channel, line.app_id, line.code].join(' ').toLowerCase().includes(wanted));
    replace(body, missingNotice(missing, 'refusals'), el('div', { class: 'card list-card' },
      found.length ? el('ul', { class: 'refusals' }, found.map(row))
        : refusals.length ? empty('No refusal matches.', 'Only the latest refusals are kept. Search for a part of the reason, origin, address or channel.')
          : empty('Nobody was refused.', 'A client that is refused appears here with the reason. If a client does not appear, it did not reach this server: soundpost doctor checks the way to it.')));
  };
  form.addEventListener('input', () => {
    noteQuery({ search: search.querySelector('input').value.trim(), kind: kind.value });
    show();
  });
  form.addEventListener('submit', (event) => event.preventDefault());
  keepFresh(signal, 5, trouble, async (aborted) => {
    ({ refusals, missing } = await get('refusals', null, aborted));
    show();
  });
}

function row(line) {
  const about = [['App', line.app_id], ['Origin', line.origin], ['Address', line.address], ['Channel', line.channel], ['Where', line.worker]];
  return el('li', null,
    el('div', { class: 'refusal-head' },
      el('span', { class: 'badge', 'data-tone': 'bad' }, `${line.kind}${line.code ? ` ${line.code}` : ''}`),
      line.count > 1 && el('span', { class: 'badge' }, count(line.count, 'time')),
      el('time', { title: moment(line.at) }, ago(line.at))),
    el('p', { class: 'reason' }, line.reason),
    line.left_out > 0 && el('p', { class: 'hint' }, `After it, ${count(line.left_out, 'refusal')} of the same kind came too fast to be kept.`),
    el('dl', { class: 'line-facts' }, about.filter(([, value]) => value).map(([name, value]) =>
      el('div', null, el('dt', null, name), el('dd', { class: 'mono' }, value)))));
}
