// One unmodified Laravel Echo client over pusher-js, as an application built for a browser would have it.

import Echo from 'laravel-echo';
import Pusher from 'pusher-js';
import { options, report, serve } from './lines.mjs';

const echo = new Echo({ ...options.echo, Pusher });
const opened = new Map();

echo.connector.onConnectionChange((status) => report('status', { status }));

function listen(full, event) {
  opened.get(full).listen(event, (data) => report('heard', { channel: full, event, data }));
}

await serve({
  // kind: channel, private, encryptedPrivate or join, the names of Echo's own methods.
  // event: listened to at once, before anything can have come.
  open(kind, name, event) {
    const channel = echo[kind](name);
    const full = channel.name;
    opened.set(full, channel);
    channel.subscribed(() => report('subscribed', { channel: full }));
    channel.error((error) => report('error', { channel: full, error }));
    if (kind === 'join') {
      channel.here((members) => report('here', { channel: full, members }));
      channel.joining((member) => report('joining', { channel: full, member }));
      channel.leaving((member) => report('leaving', { channel: full, member }));
    }
    if (event) listen(full, event);
    return full;
  },
  listen,
  stopListening(full, event) {
    opened.get(full).stopListening(event);
  },
  listenToAll(full) {
    opened.get(full).listenToAll((event, data) => report('all', { channel: full, event, data }));
  },
  listenForWhisper(full, name) {
    opened.get(full).listenForWhisper(name, (data) => report('whisper', { channel: full, name, data }));
  },
  notification(full) {
    opened.get(full).notification((data) => report('notification', { channel: full, data }));
  },
  whisper(full, name, data) {
    opened.get(full).whisper(name, data);
  },
  leave: (name) => echo.leave(name),
  socketId: () => echo.socketId(),
  connectionStatus: () => echo.connectionStatus(),
  signin() {
    echo.connector.pusher.user.bind_global((event, data) => report('user-event', { event, data }));
    echo.connector.pusher.connection.bind('message', ({ event }) => {
      if (event === 'pusher:signin_success') report('signed-in');
    });
    echo.connector.signin();
  },
  disconnect: () => echo.disconnect(),
});
