// The live tail of an app, a channel, a user or a socket: what happens, as it happens.

import { asQuery } from './api.js';
import { byId, el, empty, heading, icon } from './elements.js';
import { number } from './formats.js';
import { whenServerIsBack } from './refreshing.js';
import { link, noteQuery } from './routes.js';
import { leftOut, tailLine } from './tail_lines.js';
import { Stream } from './stream.js';

export const title = 'Tail';

const KEPT = 500; // lines, in the list and behind a pause
const MIXED = 200; // lines behind which a late one is put at most

export function open(view, { app, route: { query }, signal }) {
  const input = (id, label, value, hint) => el('div', { class: 'field' }, el('label', { for: id }, label),
    el('input', { id, value, placeholder: hint, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', maxlength: '200' }));
  const form = el('form', { class: 'card tail-form', 'aria-label': 'What to tail' },
    input('channel', 'Channel', query.channel, 'all, or private-chat.*'),
    input('user', 'User id', query.user, 'all'),
    input('socket', 'Socket id', query.socket, 'all'),
    el('button', { class: 'button primary' }, 'Tail'));
  const state = el('p', { class: 'head-text', role: 'status' });
  const filter = el('input', { type: 'search', id: 'filter', placeholder: 'Show only lines with', 'aria-label': 'Show only lines with', autocomplete: 'off', spellcheck: 'false' });
  const pause = el('button', { type: 'button', class: 'button', 'aria-pressed': 'false' }, icon('pause'), el('span', null, 'Pause'));
  const clear = el('button', { type: 'button', class: 'button' }, 'Clear');
  const omitted = el('p', { class: 'hint' });
  const list = el('ol', { class: 'tail', 'aria-label': 'Lines, newest first' });
  const nothing = empty('Nothing has happened yet.', 'Lines appear here as clients connect, subscribe, and get events. Send one from ',
    el('a', { class: 'link', href: link('send', { app }) }, 'Send event'), '.');
  view.append(heading('Tail', state), form,
    el('div', { class: 'filters' }, el('div', { class: 'search' }, icon('search'), filter), pause, clear), omitted,
    el('div', { class: 'card list-card' }, list, nothing));

  let stream = null;
  let waiting = []; // lines behind a pause, oldest first
  let left = 0;
  let paused = false;

  function take({ lines, left_out: out }) {
    const fresh = lines.map(tailLine);
    if (out) {
      left += out;
      fresh.push(leftOut(out, lines.at(-1)?.at ?? Date.now() / 1000));
      omitted.textContent = `${number(left)} lines were left out so far: more happened than a tail sends (100 lines each 200 ms of a process). Narrow it to a channel, user or socket.`;
    }
    if (!paused) return add(fresh);
    waiting = [...waiting, ...fresh].slice(-KEPT);
    pause.lastChild.textContent = `Go on (${number(waiting.length)} new)`;
    return undefined;
  }

  function add(nodes) {
    nothing.hidden = nothing.hidden || nodes.length > 0;
    nodes.forEach(choose);
    nodes.slice(-KEPT).forEach(place);
    while (list.childElementCount > KEPT) list.lastElementChild.remove();
  }

  // Newest first. Lines of several processes come in turns, so one may belong behind some that are there.
  function place(node) {
    let next = list.firstElementChild;
    for (let back = 0; next && Number(next.dataset.at) > Number(node.dataset.at) && back < MIXED; back += 1) next = next.nextElementSibling;
    list.insertBefore(node, next);
  }

  function choose(node) {
    const wanted = filter.value.trim().toLowerCase();
    node.hidden = Boolean(wanted) && !node.dataset.text.includes(wanted);
  }

  function start() {
    stream?.end();
    const asked = Object.fromEntries(['channel', 'user', 'socket'].map((name) => [name, byId(name).value.trim()]));
    const of = Object.entries(asked).filter(([, value]) => value).map(([name, value]) => `${name} ${value}`).join(', ');
    noteQuery(asked);
    state.textContent = 'Connecting';
    stream = new Stream(`tail${asQuery({ app, ...asked })}`, {
      onMessage: take,
      onState: (now, reason) => { state.textContent = now === 'connected' ? `Shows what happens now: ${of || `the whole app ${app}`}` : reason ? `Nothing is shown: ${reason}.` : 'The connection of the tail was lost. It connects again by itself; messages until then are missing.'; },
    });
  }

  function empties() {
    list.replaceChildren();
    waiting = [];
    left = 0;
    omitted.textContent = '';
    nothing.hidden = false;
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    empties();
    start();
  });
  filter.addEventListener('input', () => [...list.children].forEach(choose));
  clear.addEventListener('click', empties);
  pause.addEventListener('click', () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    pause.replaceChildren(icon(paused ? 'play' : 'pause'), el('span', null, paused ? 'Go on' : 'Pause'));
    if (!paused) add(waiting.splice(0));
  });
  signal.addEventListener('abort', () => stream?.end());
  whenServerIsBack(signal, () => stream.open()); // it may not have noticed that it was cut
  start();
}
