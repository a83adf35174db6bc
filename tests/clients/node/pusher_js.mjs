// One unmodified pusher-js client, its build for Node.js (which decrypts encrypted channels).

import Pusher from 'pusher-js';
import { options, report, serve } from './lines.mjs';

const pusher = new Pusher(options.key, options.pusher);

pusher.connection.bind('state_change', ({ previous, current }) => report('state', { previous, current }));
pusher.connection.bind('error', ({ type, data, error }) => {
  const { code = null, message = null } = data ?? error?.data ?? {};
  report('error', { type, code, message });
});
// Everything that arrives, before pusher-js acts on it.
pusher.connection.bind('message', (message) => report('message', message));
pusher.user.bind_global((event, data) => report('user-event', { event, data }));
for (const event of ['online', 'offline']) {
  pusher.user.watchlist.bind(event, ({ user_ids }) => report('watchlist', { event, users: user_ids }));
}

const observed = new Set();

await serve({
  subscribe(name) {
    const channel = pusher.subscribe(name);
    if (observed.has(channel)) return;
    observed.add(channel);
    channel.bind_global((event, data) => report('event', { channel: name, event, data }));
  },
  unsubscribe: (name) => pusher.unsubscribe(name),
  // Only callbacks bound by name get the metadata, which has the sender of a client event.
  listen(name, event) {
    pusher.channel(name).bind(event, (data, metadata) => report('heard', { channel: name, event, data, metadata }));
  },
  trigger: (name, event, data) => pusher.channel(name).trigger(event, data),
  signin: () => pusher.signin(),
  state: () => pusher.connection.state,
  socketId: () => pusher.connection.socket_id,
  // In milliseconds, agreed on by client and server.
  activityTimeout: () => pusher.connection.activityTimeout,
  isSubscribed: (name) => pusher.channel(name)?.subscribed ?? false,
  subscriptionCount: (name) => pusher.channel(name).subscriptionCount,
  // A message as it is, past pusher-js' own checks.
  send: (event, data) => pusher.send_event(event, data),
  presence(name) {
    const { members, count, myID, me } = pusher.channel(name).members;
    return { members, count, myID, me };
  },
  disconnect: () => pusher.disconnect(),
  connect: () => pusher.connect(),
});
