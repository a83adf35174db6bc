// A pusher-js, or a Laravel Echo over it, with the module that resumes.

import Echo from 'laravel-echo';
import { resume } from '../../../js/resume.js';
import { options, report, serve } from './lines.mjs';

for (const level of ['warn', 'error']) console[level] = (...words) => report(level, { text: words.join(' ') });
process.on('uncaughtException', (error) => report('uncaught', { message: error.message }));

const { default: Pusher } = await import(options.package ?? 'pusher-js');
const echo = options.echo ? new Echo({ broadcaster: 'reverb', key: options.key, ...options.pusher, Pusher }) : null;
const pusher = echo ? echo.connector.pusher : new Pusher(options.key, options.pusher);
const handlers = {
  onResumed: (channel, count) => report('resumed', { channel, count }),
  onGap(channel, reason) {
    report('gap', { channel, reason });
    if (options.failing) throw new Error('the handler of gaps fails');
  },
};
let resumption;

function attach(more = {}) {
  const previous = resumption;
  resumption = resume(echo ?? pusher, { ...(options.handlers === false ? {} : handlers), ...more });
  return previous === undefined || previous === resumption;
}

if (options.resume) attach(options.resume);

pusher.user.bind_global((event, data) => report('user', { event, data }));
pusher.connection.bind('message', ({ event, channel }) => {
  const isOfUser = channel?.startsWith('#server-to-user-');
  if (isOfUser && event === 'pusher_internal:subscription_succeeded') report('user', { event: 'subscribed' });
});
pusher.bind_global((event) => report('global', { event }));
pusher.connection.bind('error', ({ error }) => report('closed', { code: error?.data?.code ?? null }));
pusher.connection.bind('state_change', ({ previous, current }) => report('state', { previous, current }));
// Signs of life that are not messages.
pusher.connection.bind('connected', () => pusher.connection.connection.bind('activity', () => report('activity')));

function subscribe(name) {
  const channel = pusher.subscribe(name);
  channel.bind_global((event, data) => report('event', { channel: name, event, data }));
}

await serve({
  attach,
  attachTo: (target) => resume(target),
  send: (name, data) => pusher.send_event(name, data),
  subscribe,
  subscribeAll: (names) => names.forEach(subscribe),
  unsubscribe: (name) => pusher.unsubscribe(name),
  // In one turn, as a page's components do.
  resubscribe(name) {
    pusher.unsubscribe(name);
    subscribe(name);
  },
  failOn(name, event) {
    pusher.channel(name).bind(event, () => {
      throw new Error(`the handler of ${event} fails`);
    });
  },
  // As clean-ups of components do.
  unbind() {
    pusher.connection.unbind('state_change');
  },
  positions: () => resumption.positions(),
  socketId: () => pusher.connection.socket_id,
  presence: (name) => Object.keys(pusher.channel(name).members.members).sort(),
  signin: () => pusher.signin(),
  disconnect: () => pusher.disconnect(),
  connect: () => pusher.connect(),
  // In one turn.
  reconnect() {
    pusher.disconnect();
    pusher.connect();
  },
});
