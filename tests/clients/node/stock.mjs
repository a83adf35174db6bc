// One unmodified pusher-js, or laravel-echo over it, of the version that a test names; reports all that it hands on.

import { options, report, serve } from './lines.mjs';

// Packages differ in how a module gives its class.
async function load(name) {
  const { default: found } = await import(name);
  return found.default ?? found;
}

const Pusher = await load(options.module);
const customHandler = ({ channelName }, callback) => callback(null, {
  auth: 'key:signed',
  channel_data: channelName.startsWith('presence-') ? '{"user_id":"ann","user_info":{"name":"Ann"}}' : undefined,
  shared_secret: options.sharedSecret,
});
const pusher = new Pusher('key', { ...options.pusher, channelAuthorization: { customHandler } });
pusher.connection.bind('state_change', ({ current }) => report('state', { current }));
pusher.connection.bind('message', (message) => report('message', message));
pusher.connection.bind('error', () => report('error'));

const bind = (on) => {
  for (const name of options.channels) {
    const channel = on(name);
    channel.bind_global((event, data) => report('event', { channel: name, event, data }));
    for (const event of ['placed', 'client-wave']) {
      channel.bind(event, (data, metadata) => report('heard', { channel: name, event, data, metadata }));
    }
  }
};

if (options.echo) {
  const Echo = await load(options.echo);
  const echo = new Echo({ broadcaster: 'pusher', client: pusher, key: 'key' });
  const kinds = [
    ['private-encrypted-', (name) => echo.encryptedPrivate(name)],
    ['private-', (name) => echo.private(name)],
    ['presence-', (name) => echo.join(name)],
    ['', (name) => echo.channel(name)],
  ];
  for (const name of options.channels) {
    const [prefix, open] = kinds.find(([start]) => name.startsWith(start));
    const channel = open(name.slice(prefix.length));
    channel.listen('.placed', (data) => report('listened', { channel: name, data }));
    channel.listenToAll?.((event, data) => report('all', { channel: name, event, data }));
    channel.subscribed(() => report('subscribed', { channel: name }));
    channel.here?.((members) => report('here', { channel: name, members }));
  }
  bind((name) => pusher.channel(name));
} else {
  bind((name) => pusher.subscribe(name));
}

await serve({ disconnect: () => pusher.disconnect() });
