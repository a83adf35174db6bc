// Clients of pusher-js that note what their handlers are given, with the module that resumes and without it.

import { createHash, createHmac } from 'node:crypto';
import Pusher from 'pusher-js';
import { resume } from '../../../js/resume.js';
import { options, serve } from './lines.mjs';

const now = () => Number(process.hrtime.bigint()) / 1e9; // the clock of all processes

let masterKey = Buffer.from(options.masterKey, 'base64');

function sharedSecret(channel) {
  return createHash('sha256').update(channel).update(masterKey).digest('base64');
}

function authorize(name) {
  return ({ socketId, channelName }, callback) => {
    const isPresence = channelName.startsWith('presence-');
    const channelData = isPresence ? JSON.stringify({ user_id: name }) : null;
    const text = [socketId, channelName, ...(isPresence ? [channelData] : [])].join(':');
    const signature = createHmac('sha256', options.secret).update(text).digest('hex');
    callback(null, {
      auth: `${options.key}:${signature}`,
      ...(isPresence ? { channel_data: channelData } : {}),
      ...(channelName.startsWith('private-encrypted-') ? { shared_secret: sharedSecret(channelName) } : {}),
    });
  };
}

class Client {
  constructor({ name, port, channels, resumes }) {
    Object.assign(this, { name, port, channels, resumes, pages: [], current: null });
    this.stories = Object.fromEntries(
      channels.map((channel) => [
        channel,
        {
          client: name,
          channel,
          kind: resumes ? 'resuming' : 'stock',
          entries: [],
          faults: [],
        },
      ]),
    );
    this.open();
  }

  // A new page, rendered from these positions.
  open(positions = {}) {
    const pusher = new Pusher(options.key, {
      wsHost: '127.0.0.1',
      wsPort: this.port,
      forceTLS: false,
      cluster: '',
      disableStats: true,
      enabledTransports: ['ws'],
      activityTimeout: options.activityTimeout * 1000,
      pongTimeout: options.activityTimeout * 1000,
      unavailableTimeout: 5000,
      channelAuthorization: { customHandler: authorize(this.name) },
    });
    this.pusher = pusher;
    this.pages.push([]);
    const page = this.pages.at(-1);
    pusher.connection.bind('connected', () => page.push(pusher.connection.socket_id));
    if (this.resumes) {
      this.resumption = resume(pusher, {
        positions,
        onResumed: (channel, count) => this.note(pusher, channel, 'resumed', this.at(channel), count),
        onGap: (channel, reason) => this.note(pusher, channel, 'gap', this.at(channel), reason),
      });
      this.watch(pusher);
    } else {
      pusher.connection.bind('state_change', ({ previous }) => {
        if (previous === 'connected') for (const channel of this.channels) this.note(pusher, channel, 'left');
      });
    }
    for (const channel of this.channels) this.subscribe(pusher, channel, channel in positions);
  }

  subscribe(pusher, name, hasBegun) {
    const channel = pusher.subscribe(name);
    channel.bind('pusher:subscription_succeeded', () => {
      if (!this.resumes || !hasBegun) {
        this.note(pusher, name, 'began', this.at(name));
      }
      hasBegun = true;
    });
    channel.bind('tick', (data) => this.note(pusher, name, 'event', data.split(' ', 1)[0], this.current));
  }

  // The position that the module knows of a channel.
  at(channel) {
    return this.resumes ? (this.resumption.positions()[channel] ?? null) : null;
  }

  // Note the position of each message, which the handlers are not given. The module has tapped the transport by then.
  watch(pusher) {
    const send = pusher.send_event;
    pusher.send_event = (...event) => {
      const sent = send.apply(pusher, event);
      const { transport } = pusher.connection.connection ?? {};
      if (transport && !transport.isWatched) {
        transport.isWatched = true;
        const { emit } = transport;
        transport.emit = (name, ...more) => {
          if (name === 'message') this.current = JSON.parse(more[0].data).position ?? null;
          return emit.call(transport, name, ...more);
        };
      }
      return sent;
    };
  }

  note(pusher, channel, kind, ...more) {
    if (pusher === this.pusher) this.stories[channel].entries.push([kind, now(), ...more]);
  }

  reload(positions) {
    if (!this.resumes) return;
    const known = Object.fromEntries(Object.entries(positions).filter(([name]) => this.channels.includes(name)));
    const old = this.pusher;
    this.pusher = null;
    old.disconnect();
    for (const name in known) this.stories[name].entries.push(['rendered', now(), known[name]]);
    this.open(known);
  }

  get isSubscribed() {
    return this.channels.every((name) => this.pusher.channel(name)?.subscribed);
  }
}

const clients = [];
const sum = (count) => clients.map(count).reduce((total, each) => total + each, 0);

await serve({
  connect: (plans) => void clients.push(...plans.map((plan) => new Client(plan))),
  away: () => sum((client) => !client.isSubscribed),
  reload: (positions) => clients.forEach((client) => client.reload(positions)),
  seal_with: (key) => void (masterKey = Buffer.from(key, 'base64')),
  sockets: () => clients.filter((client) => client.resumes).flatMap((client) => client.pages.at(-1).slice(-1)),
  tell: () => ({
    stories: clients.flatMap((client) => Object.values(client.stories)),
    pages: Object.fromEntries(clients.map((client) => [client.name, client.pages])),
  }),
});
