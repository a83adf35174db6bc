// One connection: who it is, its channels; ends it, or all of its user.

import { appPath, asQuery, get, post, remove } from './api.js';
import { confirmed } from './confirmation.js';
import { card, el, empty, facts, heading, icon, notice, replace } from './elements.js';
import { bytes, duration, kindOf, moment, number } from './formats.js';
import { keepFresh } from './refreshing.js';
import { link } from './routes.js';

export const nameOf = (route) => route.name;

export function open(view, { app, route: { name }, signal }) {
  const trouble = el('div');
  const result = el('div', { role: 'status' });
  const body = el('div', { class: 'stack' });
  const actions = el('div', { class: 'actions' });
  view.append(el('a', { class: 'back', href: link('connections', { app }) }, icon('back'), 'Connections'),
    heading(name, actions), trouble, result, body);

  async function act(question, action, done) {
    if (!await confirmed(question)) return;
    try {
      await action();
      result.replaceChildren(notice('Done.', done, 'good'));
    } catch (error) {
      result.replaceChildren(notice('Nothing was ended.', error.message, 'bad'));
    }
    refresh();
  }

  const end = () => act(
    { title: 'End this connection?', text: `The client ${name} is closed with 4009 and does not connect again by itself.`, action: 'End connection' },
    () => remove(appPath(app, 'connections', name)), 'The connection was ended.');
  const endUser = (user) => act(
    { title: `End all connections of ${user}?`, text: 'All clients that are signed in as this user, or are members of channels as this user, are closed with 4009, on all hosts.', action: 'End all of them' },
    () => post(appPath(app, 'users', 'terminate') + asQuery({ user })), `All connections of ${user} were ended.`);

  const refresh = keepFresh(signal, 5, trouble, async (aborted) => {
    let connection;
    try {
      connection = await get(appPath(app, 'connections', name), null, aborted);
    } catch (error) {
      if (error.status !== 404) throw error;
      actions.replaceChildren();
      replace(body, empty('This connection has ended.', error.message));
      return;
    }
    show(connection);
  });

  function show(line) {
    const user = line.user_id;
    replace(actions,
      el('a', { class: 'button small', 'data-key': 'tail', href: link('tail', { app, query: { socket: name } }) }, icon('tail'), 'Tail it'),
      el('button', { type: 'button', class: 'button small danger', 'data-key': 'end', onclick: end }, 'End connection'),
      user != null && el('button', { type: 'button', class: 'button small danger', 'data-key': 'end-user', onclick: () => endUser(user) }, 'End all of its user'));
    const names = line.channel_names || [];
    replace(body, card('Client', facts([
      ['User', user != null && el('a', { class: 'link', 'data-key': 'user', href: link('connections', { app, query: { user } }) }, user)],
      ['Library', line.client],
      ['Address', line.address && el('span', { class: 'mono' }, line.address)],
      ['Origin', line.origin],
      ['Connected since', `${moment(line.since)} (${duration(Date.now() / 1000 - line.since)})`],
      ['Where', line.worker],
      ['Waiting output', bytes(line.waiting_bytes)],
    ])), card(`Channels (${number(line.channels)})`, names.length
      ? el('ul', { class: 'names' }, names.map((channel) => el('li', null, icon(kindOf(channel)),
        el('a', { class: 'name', href: link('channels', { app, name: channel }), 'data-key': `channel ${channel}` }, channel))),
      line.channels > names.length && el('li', { class: 'soft' }, `and ${number(line.channels - names.length)} more`))
      : empty('Subscribed to no channel.', 'The client is connected, and has not subscribed yet, or was refused: see ',
        el('a', { class: 'link', href: link('refused') }, 'Refused'), '.')));
  }
}
