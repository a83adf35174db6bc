// Sending an event to channels of an app, and how many clients got it.

import { appPath, post } from './api.js';
import { el, field, heading, notice } from './elements.js';
import { count } from './formats.js';
import { jsonProblem } from './json_problem.js';
import { link } from './routes.js';

export const title = 'Send event';

export function open(view, { app, route: { query } }) {
  const plain = { autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' };
  const channels = el('input', { id: 'channels', value: query.channel || '', required: true, placeholder: 'orders, private-chat.7', ...plain });
  const name = el('input', { id: 'event', required: true, maxlength: '200', placeholder: 'OrderShipped', ...plain });
  const data = el('textarea', { id: 'data', rows: '6', spellcheck: 'false' }, '{\n  "text": "Hi"\n}');
  const problem = el('p', { class: 'result', id: 'data-problem', 'data-tone': 'bad' });
  data.setAttribute('aria-describedby', 'data-problem');
  const socket = el('input', { id: 'except', maxlength: '50', placeholder: 'nobody', ...plain });
  const ephemeral = el('input', { id: 'ephemeral', type: 'checkbox' });
  const button = el('button', { class: 'button primary large' }, 'Send event');
  const result = el('div', { class: 'send-result', role: 'status', 'data-testid': 'send-result' });
  const indent = el('button', { type: 'button', class: 'button small' }, 'Indent');
  const form = el('form', { class: 'card send-form' },
    field('Channels', channels, 'Names with commas between them. Each must be a whole name: no patterns.'),
    field('Event name', name),
    el('div', { class: 'field' }, el('div', { class: 'label-row' }, el('label', { for: 'data' }, 'Data (JSON)'), indent), data, problem),
    field('Leave out the socket', socket, 'The socket id of a client that does not get the event.'),
    el('label', { class: 'check' }, ephemeral, el('span', null, 'Ephemeral: not kept in the history')),
    el('div', { class: 'send' }, button));
  view.append(heading('Send event', el('p', { class: 'head-text' }, `To clients of app ${app}, as your application would`)), form, result);

  const check = () => {
    try {
      JSON.parse(data.value);
      problem.textContent = '';
    } catch (_) {
      problem.textContent = jsonProblem(data.value).message;
    }
    data.setAttribute('aria-invalid', String(Boolean(problem.textContent)));
    return !problem.textContent;
  };
  data.addEventListener('input', check);
  indent.addEventListener('click', () => {
    if (check()) data.value = JSON.stringify(JSON.parse(data.value), null, 2);
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (!check()) return data.focus();
    const names = [...new Set(channels.value.split(',').map((one) => one.trim()).filter(Boolean))];
    const body = { channels: names, name: name.value.trim(), data: JSON.parse(data.value) };
    if (socket.value.trim()) body.socket_id = socket.value.trim();
    if (ephemeral.checked) body.ephemeral = true;
    button.disabled = true;
    try {
      const { receivers } = await post(appPath(app, 'events'), body);
      result.replaceChildren(...report(body.name, receivers, app));
    } catch (error) {
      result.replaceChildren(notice('The event was not sent.', error.message, 'bad'));
    }
    button.disabled = false;
    return undefined;
  });
}

function report(name, receivers, app) {
  return Object.entries(receivers).map(([channel, got]) => {
    const to = el('a', { class: 'link', href: link('channels', { app, name: channel }) }, channel);
    return got > 0
      ? notice('Sent.', el('span', null, `${count(got, 'client')} got ${name} on `, to, '.'), 'good')
      : notice('Sent, but to nobody.', el('span', null, 'Nobody is subscribed to ', to, ': compare the name with that in the page that should listen.'));
  });
}
