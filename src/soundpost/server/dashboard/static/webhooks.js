// The endpoints of an app's webhooks: what waits, recent deliveries with the answers, sending again.

import { appPath, get, post } from './api.js';
import { el, empty, facts, heading, notice, replace } from './elements.js';
import { ago, duration, milliseconds, moment, number } from './formats.js';
import { missingNotice } from './paging.js';
import { keepFresh } from './refreshing.js';
import { scrollable, table } from './tables.js';

export const title = 'Webhooks';

const COLUMNS = [['When', null], ['Events', null], ['Status', null], ['Answer', null], ['Took', 'amount'], ['Again', 'amount']];

export function open(view, { app, signal }) {
  const trouble = el('div');
  const result = el('div', { role: 'status' });
  const body = el('div', { class: 'stack' });
  view.append(heading('Webhooks', el('p', { class: 'head-text' }, `What app ${app} tells your application over HTTP`)), trouble, result, body);

  const resend = async (endpoint, delivery, button) => {
    button.disabled = true;
    try {
      await post(appPath(app, 'webhooks', endpoint.number, 'resend'), { id: delivery.id });
      result.replaceChildren(notice('Sent again.', `${delivery.events.join(', ')} to ${endpoint.url}. The answer appears as a new delivery.`, 'good'));
    } catch (error) {
      result.replaceChildren(notice('Nothing was sent.', error.message, 'bad'));
    }
    button.disabled = false;
    refresh();
  };

  const refresh = keepFresh(signal, 5, trouble, async (aborted) => {
    const { endpoints, missing } = await get(appPath(app, 'webhooks'), null, aborted);
    replace(body, missingNotice(missing, 'deliveries'), endpoints.length ? endpoints.map((endpoint) => card(endpoint, resend))
      : el('div', { class: 'card' }, empty('This app has no webhooks.', 'Webhooks tell your application when channels are occupied, members come and go, and clients send events. Add an endpoint: ',
        el('code', null, '[[apps.webhooks]]'), ' in soundpost.toml.')));
  });
}

function card(endpoint, resend) {
  const { recent = [] } = endpoint;
  const [tone, word] = endpoint.stopped ? ['bad', 'stopped'] : endpoint.last_error ? ['bad', 'failing']
    : endpoint.sent ? ['good', 'works'] : ['', 'not used yet'];
  return el('section', { class: 'card', 'aria-label': `Endpoint ${endpoint.url}` },
    el('header', { class: 'card-head' }, el('h2', { class: 'mono' }, endpoint.url), el('span', { class: 'state', 'data-tone': tone }, word)),
    facts([
      ['Events', endpoint.events.join(', ') || 'all'],
      ['Channels', endpoint.channels.join(', ').replace(/^\*?$/, 'all')],
      ['Waiting', number(endpoint.waiting)],
      ['Sent', number(endpoint.sent)],
      ['Failed', number(endpoint.failed)],
      ['Dropped', number(endpoint.dropped)],
    ]),
    endpoint.last_error && el('p', { class: 'card-text bad' }, `At the last attempt the endpoint ${endpoint.last_error}.`,
      endpoint.retry_at != null && ` Next attempt in ${duration(endpoint.retry_at - Date.now() / 1000)}.`),
    recent.length
      ? scrollable(`recent deliveries to ${endpoint.url}`, table('Recent deliveries', COLUMNS, recent.map((delivery) => row(endpoint, delivery, resend))))
      : empty('Nothing was sent yet.', 'Deliveries appear here after the next event for this endpoint.'));
}

function row(endpoint, delivery, resend) {
  const good = delivery.status >= 200 && delivery.status < 300;
  const again = el('button', {
    type: 'button', class: 'button small', 'data-key': `again ${endpoint.number} ${delivery.id}`,
    'aria-label': `Send again: ${delivery.events.join(', ')}, ${moment(delivery.at)}`, onclick: () => resend(endpoint, delivery, again),
  }, 'Send again');
  return el('tr', null,
    el('td', { class: 'soft when' }, el('time', { title: moment(delivery.at) }, ago(delivery.at))),
    el('th', { scope: 'row' }, delivery.events.join(', ')),
    el('td', null, el('span', { class: 'badge', 'data-tone': good ? 'good' : 'bad' }, delivery.status ?? 'no answer')),
    el('td', { class: 'answer' }, `It ${delivery.answer}`, delivery.again && el('span', { class: 'badge' }, 'sent again')),
    el('td', { class: 'amount' }, milliseconds(delivery.seconds)),
    el('td', { class: 'amount' }, delivery.can_be_sent_again ? again : el('span', { class: 'soft' }, 'not kept')));
}
