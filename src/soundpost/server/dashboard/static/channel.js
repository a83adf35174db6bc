// One channel: subscribers, members, history, last event.

import { appPath, get } from './api.js';
import { card, el, empty, facts, heading, icon, replace } from './elements.js';
import { ago, bytes, kindOf, number } from './formats.js';
import { missingNotice } from './paging.js';
import { keepFresh } from './refreshing.js';
import { link } from './routes.js';

export const nameOf = (route) => route.name;

export function open(view, { app, route: { name }, signal, session }) {
  const trouble = el('div');
  const body = el('div', { class: 'stack' });
  const to = (page, text, query) => el('a', { class: 'button small', href: link(page, { app, query: { channel: name, ...query } }) }, icon(page), text);
  view.append(
    el('a', { class: 'back', href: link('channels', { app }) }, icon('back'), 'Channels'),
    heading(name, el('div', { class: 'actions' }, to('tail', 'Tail it'), to('connections', 'Its connections'),
      !['encrypted', 'user'].includes(kindOf(name)) && to('send', 'Send an event'))),
    trouble, body,
  );
  const keepsHistory = session.apps.find(({ id }) => id === app)?.history;
  keepFresh(signal, 5, trouble, async (aborted) => {
    let channel;
    try {
      channel = await get(appPath(app, 'channels', name), null, aborted);
    } catch (error) {
      if (error.status !== 404) throw error;
      replace(body, empty('Nobody is subscribed to this channel now.', error.message));
      return;
    }
    replace(body, ...missingNotice(channel.missing, 'subscribers'), card('Now', facts([
      ['Kind', channel.kind],
      ['Subscribers', number(channel.subscribers)],
      ['Members', channel.member_count == null || channel.kind !== 'presence' ? null : number(channel.member_count)],
      ['Last event', channel.last_event && el('code', null, channel.last_event)],
      ['Last event sent', channel.last_event_at == null ? null : ago(channel.last_event_at)],
    ])), channel.kind === 'presence' && members(channel, app), history(channel.history, keepsHistory));
  });
}

function members(channel, app) {
  const shown = channel.members || [];
  const more = channel.member_count - shown.length;
  return card('Members', shown.length
    ? el('ul', { class: 'members' }, shown.map((id) => el('li', null,
      el('a', { href: link('connections', { app, query: { user: id } }), 'data-key': `member ${id}` }, id))),
    more > 0 && el('li', { class: 'soft' }, `and ${number(more)} more`))
    : empty('No members.', 'Members appear when signed-in users subscribe.'));
}

function history(kept, keepsHistory) {
  if (kept) {
    const atLeast = kept.more ? 'at least ' : '';
    return card('History', facts([
      ['Kept events', atLeast + number(kept.events)], ['Size', atLeast + bytes(kept.bytes)],
      ['First offset', String(kept.first)], ['Last offset', String(kept.last)],
    ]));
  }
  return card('History', el('p', { class: 'card-text' }, keepsHistory
    ? 'No events of this channel are kept. The patterns below [[apps.history]] decide which channels keep some.'
    : 'The app keeps no history. With [[apps.history]] in soundpost.toml, clients that were away get the events that they missed.'));
}
