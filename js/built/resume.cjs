'use strict';

// Resumption for pusher-js and laravel-echo: a client that comes back gets what it missed, or is told of a gap.

const ATTACHED = '__soundpostResume';
const OLDEST = [8, 4]; // pusher-js before 8.4 gives up at the second connection that breaks within 4 minutes
const IDS = 200; // remembered for each channel
const SOCKETS = 4; // earlier socket ids that a subscription names

function resume(target, options) {
  const pusher = target && target.connector ? target.connector.pusher : target;
  if (!pusher || !pusher.send_event) {
    throw new TypeError('soundpost-resume: resume() takes a Pusher, or an Echo that has connected by pusher-js');
  }
  const attached = pusher[ATTACHED] || (pusher[ATTACHED] = attach(pusher));
  attached.add(options || {});
  return attached.api;
}

function attach(pusher) {
  const channels = new Map(); // by name: what is known of a channel
  const sockets = []; // socket ids of this page, the current one last
  const handlers = {};
  const rewinds = Object.create(null); // a channel may be called `__proto__`

  // The channel of the signed-in user is not among the page's channels, and pusher-js makes another after each sign-in.
  const ofUser = () => pusher.user && pusher.user.serverToUserChannel;
  const channelOf = (name) => (ofUser() && ofUser().name === name ? pusher.user : pusher.channel(name));
  const isOver = (name, known) => known.channel && known.channel !== channelOf(name);

  // What is known of a channel that the page is in. A channel that was left and entered anew begins anew.
  const knownOf = (name) => {
    let known = channels.get(name);
    if (!known || isOver(name, known)) channels.set(name, (known = { ids: new Set() }));
    known.channel = channelOf(name);
    return known;
  };

  // An application's handler that fails must not keep the message from pusher-js.
  const tell = (handler, channel, what) => {
    try {
      if (handlers[handler]) handlers[handler](channel, what);
      else if (handler === 'onGap') {
        console.warn(`soundpost-resume: events of ${channel} are missing (${what}). Refetch the data in onGap().`);
      }
    } catch (error) {
      setTimeout(() => {
        throw error;
      });
    }
  };

  const succeeded = (message, position, known) => {
    const { asked, at } = known;
    known.asked = undefined;
    if (asked !== undefined) known.late = false;
    let reason = message.gap;
    if (!reason && isOtherGeneration(at, position)) reason = 'unknown';
    if (!reason && message.resumed === undefined) {
      // Silence about the position that was asked for. A channel without history answers so to a lost place, too.
      const wanted = asked === undefined ? at : asked;
      if (wanted && (wanted !== '?' || position)) reason = 'unknown';
    }
    if (reason) {
      known.at = position;
      tell('onGap', message.channel, reason);
      return;
    }
    if (isLater(position, at)) known.at = position;
    if (message.resumed !== undefined) tell('onResumed', message.channel, message.resumed);
  };

  // Whether an event goes on to the page's handlers. The position is noted first: a handler that throws is not asked twice.
  const isNew = (message, position, known) => {
    if (position && known.asked) return false; // before the answer: it follows once more, after what is older
    const { at, ids } = known;
    const { id, channel } = message;
    const repeated = id !== undefined && ids.has(id);
    if (id !== undefined && ids.add(id).size > IDS) ids.delete(ids.values().next().value);
    if (!position) return !repeated;
    if (!isLater(position, at)) return false;
    known.at = position;
    if (isOtherGeneration(at, position)) tell('onGap', channel, 'unknown');
    return !repeated;
  };

  // Whether a message goes on to pusher-js.
  const look = (text) => {
    if (!/"(position|id)"|_succeeded"|"soundpost:gap"/.test(text)) return true; // most messages cost one search
    let message;
    try {
      message = JSON.parse(text);
    } catch (error) {
      return true; // pusher-js reports it
    }
    const { event, channel } = message;
    const isGap = event === 'soundpost:gap';
    if (!channel || !channelOf(channel)) return !isGap;
    const known = knownOf(channel);
    const position = parse(message.position);
    if (isGap) {
      known.at = position;
      known.late = !position;
      tell('onGap', channel, reasonOf(message.data));
      return false;
    }
    if (event !== 'pusher_internal:subscription_succeeded') return isNew(message, position, known);
    succeeded(message, position, known);
    return true;
  };

  // Read what the connection's transport brings, before pusher-js does.
  const tap = () => {
    const connection = pusher.connection.connection;
    const transport = connection && connection.transport;
    if (!transport || transport[ATTACHED]) return;
    transport[ATTACHED] = true;
    const emit = transport.emit;
    transport.emit = function (name, message) {
      if (name === 'message' && !look(message.data)) return emit.call(this, 'activity');
      return emit.apply(this, arguments);
    };
  };

  const noteSocket = () => {
    const id = pusher.connection.socket_id;
    if (id && id !== sockets[sockets.length - 1]) sockets.push(id);
    if (sockets.length > SOCKETS + 1) sockets.shift();
  };

  // The fields that a subscription has more than Pusher's.
  const fields = (name) => {
    const known = knownOf(name);
    known.asked = known.at ? known.at.text : known.late ? '?' : '';
    const more = { resume: known.asked };
    if (!known.asked && rewinds[name]) more.rewind = rewinds[name];
    noteSocket();
    if (sockets.length > 1) more.was = sockets.slice(0, -1);
    return more;
  };

  const send = pusher.send_event;
  pusher.send_event = function (name, data, channel) {
    if (name === 'pusher:subscribe') {
      tap(); // nothing of a channel can come before it is subscribed to
      data = Object.assign({}, data, fields(data.channel));
    } else if (name === 'pusher:unsubscribe') channels.delete(data.channel);
    return send.call(this, name, data, channel);
  };

  const positions = () => {
    const found = {};
    channels.forEach((known, name) => {
      if (known.at && !isOver(name, known)) found[name] = known.at.text;
    });
    return found;
  };

  // Keep the positions over a reload, for pages whose state survives it.
  let stored;
  const persist = () => {
    if (stored) return;
    stored = {};
    const key = `soundpost-resume:${pusher.key}`;
    try {
      stored = JSON.parse(sessionStorage.getItem(key)) || stored;
      addEventListener('pagehide', () => sessionStorage.setItem(key, JSON.stringify(positions())));
    } catch (error) {
      console.warn('soundpost-resume: positions cannot be kept over a reload:', error);
    }
  };

  const add = (options) => {
    for (const name of ['onResumed', 'onGap']) if (options[name]) handlers[name] = options[name];
    Object.assign(rewinds, options.rewind);
    if (options.persist) persist();
    const given = Object.assign({}, options.persist && stored, options.positions);
    for (const name in given) {
      if (!given[name]) continue; // the channel keeps no history
      const known = channels.get(name);
      const at = parse(given[name]);
      if (!at) console.error('soundpost-resume: no position:', name, given[name]); // a lost place, then
      if (!known || !known.channel || isOver(name, known)) channels.set(name, { at, late: !at, ids: new Set() });
      else if (known.late && !known.at) {
        known.at = at; // too late to begin there, unless the subscription still waits for its authorization
        if (known.channel.subscribed) tell('onGap', name, 'unknown');
      } // else the channel goes on where its handlers are
    }
  };

  warnOfOldVersion(pusher);
  noteSocket();
  for (const channel of pusher.allChannels().concat(ofUser() || [])) {
    if (channel.subscribed || channel.subscriptionPending) knownOf(channel.name).late = true;
  }
  tap();
  return { api: { positions }, add };
}

// A position is `generation.offset`, and positions of two generations cannot be compared. The server refuses others.
function parse(value) {
  const [text, generation, digits] = /^([a-z\d]{1,16})\.(0|[1-9]\d{0,15})$/i.exec(value) || [];
  const offset = +digits;
  return Number.isSafeInteger(offset) ? { text, generation, offset } : undefined;
}

function isOtherGeneration(at, position) {
  return at && position && at.generation !== position.generation;
}

function isLater(position, at) {
  return position && (!at || isOtherGeneration(at, position) || position.offset > at.offset);
}

function reasonOf(data) {
  try {
    return JSON.parse(data).reason || 'unknown';
  } catch (error) {
    return 'unknown';
  }
}

function warnOfOldVersion(pusher) {
  const version = pusher.timeline && pusher.timeline.options && pusher.timeline.options.version;
  const [major, minor] = `${version}`.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    console.error(
      `soundpost-resume: pusher-js ${version} gives up when a second connection breaks within 4 minutes. ` +
        `Install pusher-js ${OLDEST.join('.')} or newer.`,
    );
  }
}

exports.resume = resume;
