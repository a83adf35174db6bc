// The Soundpost playground: a small Pusher protocol 7 client and the page around it.
// Plain JavaScript, no dependencies. Whatever the server sends is inserted as text, never as HTML.
import { jsonProblem } from './json_problem.js';

const base = location.pathname.replace(/\/+$/, ''); // "{prefix}/playground"
const MAX_EVENTS = 500;
const $ = (id) => document.getElementById(id);
const radio = (value) => document.querySelector(`input[name=mode][value=${value}]`);
let config, client;

// ---------------------------------------------------------------- helpers
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null)); // strings become text nodes
  return node;
}

function icon(name) {
  const svg = document.querySelector('.i').cloneNode(true);
  svg.firstElementChild.setAttribute('href', `#i-${name}`);
  return svg;
}

async function post(path, body) {
  const response = await fetch(base + path, {
    method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Soundpost-Playground': '1' }, body: JSON.stringify(body),
  }).catch(() => { throw new Error('The server could not be reached.'); });
  const answer = (await response.json().catch(() => null)) || {};
  if (!response.ok || answer.error) throw new Error(answer.error || `The server answered with status ${response.status}.`);
  return answer;
}

function decode(data) { // the protocol wraps data in a string: unwrap it once
  try { return typeof data === 'string' ? JSON.parse(data) : data; } catch (_) { return data; }
}

const TOKENS = /(^\s*(?:\/\/|#).*|\s\/\/ .*)|("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')(?=(\s*:)?)|\b(true|false|null|True|False|import|from|new|const)\b|(-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b)/gm;

function paint(node, text) { // colour JSON or a snippet
  node.textContent = '';
  let at = 0;
  for (const m of text.length < 20000 ? text.matchAll(TOKENS) : []) {
    const kind = m[1] ? 'comment' : m[2] ? (m[3] ? 'key' : 'string') : m[4] ? 'word' : 'number';
    node.append(text.slice(at, m.index), el('span', { class: `t-${kind}` }, m[0]));
    at = m.index + m[0].length;
  }
  node.append(text.slice(at));
}

// ---------------------------------------------------------------- connection
class Client {
  constructor(url, activityTimeout, handlers) {
    Object.assign(this, { url, activityTimeout, handlers, ws: null, socketId: null, attempts: 0 });
  }
  connect(state) {
    this.socketId = this.error = this.since = null;
    this.handlers.state(state);
    const ws = this.ws = new WebSocket(this.url);
    this.after(15, () => this.lost(1006, 'the server did not answer'));
    ws.onmessage = (message) => { if (ws === this.ws) this.receive(message.data); };
    ws.onclose = (event) => { if (ws === this.ws) this.lost(event.code, event.reason); };
  }
  after(seconds, action) { // one timer: whatever comes next replaces what was planned
    clearTimeout(this.timer);
    this.timer = setTimeout(action, seconds * 1000);
  }
  receive(text) {
    const { event, channel, data: raw, user_id: from } = decode(text) || {}, data = decode(raw);
    if (typeof event !== 'string') return;
    this.handlers.log({ event, channel, data, from });
    if (event === 'pusher:connection_established') {
      this.socketId = data.socket_id;
      this.activityTimeout = data.activity_timeout || this.activityTimeout;
      this.since = Date.now();
      this.handlers.state('connected');
    } else if (event === 'pusher:ping') this.send('pusher:pong', {});
    else if (event === 'pusher:error') this.error = data;
    else this.handlers.event(event, channel, data);
    if (!this.socketId) return;
    this.after(this.activityTimeout, () => { // silence: ask; still silence: reconnect
      this.send('pusher:ping', {});
      this.after(30, () => this.lost(1006, 'the server went silent'));
    });
  }
  send(event, data, channel) {
    if (!this.ws || this.ws.readyState !== WebSocket.OPEN) return;
    this.ws.send(JSON.stringify({ event, channel, data }));
    this.handlers.log({ event, channel: channel || data.channel, data, sent: true });
  }
  lost(code, reason) {
    const { ws, error } = this;
    if (error && error.code >= 4000 && code < 4000 && !this.since) code = error.code; // told, then a bare close
    if (error && error.code === code) reason = error.message || reason;
    if (this.since && Date.now() - this.since > 5000) this.attempts = 0;
    this.ws = this.socketId = null;
    clearTimeout(this.timer);
    ws.close();
    if (code >= 4000 && code < 4100) return this.handlers.state('refused', { code, reason });
    const backOff = Math.min(10, 2 ** this.attempts++);
    const delay = code >= 4200 && code < 4300 ? backOff / 4 : backOff; // 4200-4299: at once, yet no hot loop
    this.after(delay, () => this.connect('reconnecting'));
    this.handlers.state('reconnecting', { code, reason, delay });
  }
}

function showState(state, { code, reason, delay } = {}) {
  if ($('state').textContent !== state) $('state').textContent = state;
  $('headline').textContent = $('headline').dataset[state];
  $('status').dataset.state = $('notice').dataset.state = state;
  $('socket-id').textContent = state === 'connected' ? client.socketId : '';
  for (const channel of channels.values()) state === 'connected' ? join(channel) : setChannel(channel, 'pending');
  $('notice').hidden = state === 'connected' || state === 'connecting';
  if (state !== 'refused' && !delay) return;
  $('notice-title').textContent = delay ? 'Connection lost.' : code ? `Refused with code ${code}.` : 'Not connected.';
  $('notice-text').textContent = !delay ? reason || 'The server gave no reason.'
    : `${reason ? `Reason: ${reason} (${code}).` : `Code ${code}.`} Trying again in ${delay < 1 ? 'a moment' : `${delay} s`}.`;
}

// ---------------------------------------------------------------- channels
const pick = (words) => words.split(' ')[Math.floor(Math.random() * words.split(' ').length)];
const me = {
  id: `guest-${Math.random().toString(36).slice(2, 8)}`, // per page, so that two tabs are two members
  name: `${pick('Bright Calm Golden Gentle Bold Velvet Swift Quiet Warm Amber')} ${pick('Viola Cello Oboe Harp Flute Lute Clarinet Horn Piano Banjo')}`,
};
const channels = new Map(); // name -> { name, kind, state, error, members, turn }
const TRIES = ['orders', 'private-orders', 'presence-room', 'cache-prices'];
const kindOf = (name) => (/^(private|presence|cache)-/.exec(name) || ['', 'public'])[1];

function subscribe(name) {
  const channel = channels.get(name) || { name, kind: kindOf(name), members: new Map(), turn: 0 };
  if (channel.state === 'pending' || channel.state === 'subscribed') return;
  channels.set(name, channel);
  join(channel);
}

async function join(channel) {
  const turn = ++channel.turn, { socketId } = client || {}, { name, kind } = channel;
  setChannel(channel, 'pending');
  if (!socketId) return; // joined as soon as the connection is up
  let signed = {};
  if (kind === 'private' || kind === 'presence') {
    const who = kind === 'presence' ? { user_id: me.id, user_info: { name: me.name } } : {};
    signed = await post('/auth', { socket_id: socketId, channel_name: name, ...who }).catch((error) => ({ error }));
    if (turn !== channel.turn || socketId !== client.socketId) return; // overtaken meanwhile
    if (signed.error) return setChannel(channel, 'error', signed.error.message);
  }
  client.send('pusher:subscribe', { channel: name, auth: signed.auth, channel_data: signed.channel_data });
}

function leave(channel) {
  channel.turn++; // an answer still on its way no longer counts
  if (client && channel.state !== 'error') client.send('pusher:unsubscribe', { channel: channel.name });
}

function unsubscribe(channel) {
  leave(channel);
  channels.delete(channel.name);
  showChannels();
  $('subscribe-input').focus();
}

function onChannelEvent(event, name, data) {
  const channel = channels.get(name);
  if (!channel) return;
  if (event === 'pusher_internal:subscription_succeeded') {
    const { ids = [], hash = {} } = (data && data.presence) || {};
    setChannel(channel, 'subscribed');
    channel.members = new Map(ids.map((id) => [String(id), hash[id]]));
  } else if (event === 'pusher:subscription_error') {
    const { error = 'The server refused the subscription.', status } = data || {};
    setChannel(channel, 'error', status ? `${error} (${status})` : error);
  } else if (event === 'pusher_internal:member_added') channel.members.set(String(data.user_id), data.user_info);
  else if (event === 'pusher_internal:member_removed') channel.members.delete(String(data.user_id));
  else return;
  showMembers();
}

function setChannel(channel, state, error) {
  Object.assign(channel, { state, error });
  if (state !== 'subscribed') channel.members.clear();
  showChannels();
}

function channelRow(channel) {
  const { name, kind, state, error } = channel;
  return el('li', { 'data-channel': name, 'data-state': state },
    icon(kind), el('span', { class: 'channel-name' }, name),
    state === 'error' ? el('button', { type: 'button', class: 'link', onclick: () => join(channel) }, 'Try again')
      : el('span', { class: 'channel-state' }, state),
    el('button', { type: 'button', class: 'icon-only', 'aria-label': `Unsubscribe from ${name}`, onclick: () => unsubscribe(channel) }, icon('close')),
    error ? el('p', { class: 'channel-error' }, error) : null);
}

function showChannels() {
  $('channels').replaceChildren(...[...channels.values()].map(channelRow));
  $('known-channels').replaceChildren(...[...channels.keys()].map((name) => el('option', { value: name })));
  $('tries').replaceChildren(...TRIES.filter((name) => !channels.has(name)).map((name) =>
    el('button', { type: 'button', class: 'chip', onclick: () => subscribe(name) }, icon(kindOf(name)), name)));
  $('channel-count').textContent = channels.size || '';
  $('no-channels').hidden = channels.size > 0;
  showMembers();
  showMode();
}

const memberName = (id, info) => (info && typeof info.name === 'string' && info.name) || id;
function memberChip([id, info]) {
  const label = memberName(id, info), tone = [...id].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 5;
  return el('li', { 'data-user-id': id, title: `${id} ${JSON.stringify(info) || ''}` },
    el('span', { class: `avatar tone-${tone}`, 'aria-hidden': 'true' }, ([...label][0] || '?').toUpperCase()),
    el('span', { class: 'member-name' }, label), id === me.id ? el('span', { class: 'self' }, 'you') : null);
}

function showMembers() {
  const rooms = [...channels.values()].filter(({ kind, state }) => kind === 'presence' && state === 'subscribed');
  $('members').hidden = !rooms.length;
  $('members').replaceChildren(...rooms.map(({ name, members }) => {
    const chips = [...members].slice(0, 60).map(memberChip);
    if (members.size > 60) chips.push(el('li', { class: 'more' }, `and ${members.size - 60} more`));
    return el('div', { class: 'room' },
      el('h3', {}, `${members.size} in `, el('span', {}, name)), el('ul', { 'aria-label': `Members of ${name}` }, ...chips));
  }));
}

function rename() {
  const name = $('you').value = $('you').value.trim() || me.name;
  if (name === me.name) return;
  me.name = name;
  for (const channel of channels.values()) if (channel.kind === 'presence') { leave(channel); join(channel); }
}

function showKindHint() {
  const name = $('subscribe-input').value.trim(), odd = /[^A-Za-z0-9_\-=@,.;]/.test(name);
  $('kind-hint').textContent = $('kind-hint').dataset[odd ? 'odd' : name ? kindOf(name) : 'none'];
}

// ---------------------------------------------------------------- event list
let queue = [], paused = false, flushTimer = 0;

function log(entry) {
  queue.push({ ...entry, time: new Date() });
  if (queue.length > MAX_EVENTS) queue.shift();
  if (!flushTimer) flushTimer = setTimeout(flush, 40); // one page update for a burst
}

function flush() {
  flushTimer = 0;
  $('pause-label').textContent = !paused ? 'Pause' : queue.length ? `Resume (${queue.length})` : 'Resume';
  if (paused) return;
  $('events').prepend(...queue.splice(0).map(eventRow).reverse());
  while ($('events').children.length > MAX_EVENTS) $('events').lastElementChild.remove();
  showEvents();
}

function eventRow({ event, channel, data, from, sent, time }) {
  const pretty = data === undefined ? '' : typeof data === 'string' ? data : JSON.stringify(data, null, 2);
  const compact = typeof data === 'object' ? JSON.stringify(data) : pretty;
  const isError = event === 'pusher:error', isProtocol = !isError && (sent || /^pusher(_internal)?:/.test(event));
  const room = channels.get(channel), sender = from && memberName(String(from), room && room.members.get(String(from)));
  const clock = `${time.toTimeString().slice(0, 8)}.${String(time.getMilliseconds()).padStart(3, '0')}`;
  const pre = el('pre', {}, pretty);
  const row = el('li', { class: isError ? 'is-error' : isProtocol ? 'is-protocol' : 'is-event', 'data-event': event, 'data-channel': channel || '' },
    el('details', { ontoggle: () => { if (!pre.childElementCount) paint(pre, pretty); } },
      el('summary', {},
        icon('chevron'), el('time', { datetime: time.toISOString() }, clock),
        el('span', { class: 'event-name' }, sent ? el('span', { class: 'sent' }, 'sent') : null, event),
        el('code', { class: 'preview' }, compact.slice(0, 300)),
        channel ? el('span', { class: 'event-channel' }, icon(kindOf(channel)), el('span', {}, channel)) : null),
      sender ? el('p', { class: 'sender' }, `Sent by ${sender}`) : null, pre));
  return Object.assign(row, { isProtocol, searchable: `${event} ${channel || ''} ${compact} ${sender || ''}`.toLowerCase() });
}

function showEvents() {
  const wanted = $('filter').value.trim().toLowerCase(), all = $('protocol').checked;
  let shown = 0, possible = 0;
  for (const row of $('events').children) {
    const fits = all || !row.isProtocol, matches = fits && row.searchable.includes(wanted);
    row.hidden = !matches;
    possible += fits;
    shown += matches;
  }
  $('event-count').textContent = shown < possible ? `${shown} of ${possible}` : shown || '';
  $('empty').hidden = possible > 0;
  $('no-match').hidden = !possible || shown > 0;
}

// ---------------------------------------------------------------- publish
function showMode() {
  const whispers = /^(private|presence)-/.test($('publish-channel').value.trim());
  radio('whisper').disabled = !whispers;
  if (!whispers) radio('server').checked = true;
  const whisper = radio('whisper').checked;
  $('event-prefix').hidden = !whisper;
  $('publish-button').textContent = whisper ? 'Send whisper' : 'Publish event';
  $('mode-hint').textContent = $('mode-hint').dataset[whisper ? 'whisper' : whispers ? 'server' : 'public'];
}

function showResult(node, text, tone = 'good') { Object.assign(node, { textContent: text }).dataset.tone = tone; }
async function publish() {
  const fields = ['publish-channel', 'publish-event', 'publish-data'].map($), result = $('publish-result');
  const [channel, event, text] = fields.map((field) => field.value.trim());
  const refuse = (field, why) => { showResult(result, why, 'bad'); field.focus(); };
  if (!channel || !event) return refuse(fields[channel ? 1 : 0], channel ? 'Name the event.' : 'Name a channel.');
  let data = {};
  try { if (text) data = JSON.parse(text); } catch (_) {
    const { at, message } = jsonProblem(fields[2].value);
    refuse(fields[2], message);
    return fields[2].setSelectionRange(at, at + 1);
  }
  if (radio('whisper').checked) {
    const room = channels.get(channel);
    if (!room || room.state !== 'subscribed') return showResult(result, `Subscribe to ${channel} first: a whisper needs a subscription of this page.`, 'bad');
    client.send(event.startsWith('client-') ? event : `client-${event}`, data, channel);
    return showResult(result, 'Whispered to the other subscribers. The sender gets no copy.');
  }
  $('publish-button').disabled = true;
  await postEvent(result, { channel, event, data }, channels.has(channel) ? `Sent ${event} to ${channel}.`
    : `Sent. This page is not subscribed to ${channel}, so it will not show here.`);
  $('publish-button').disabled = false;
}

async function postEvent(result, event, done) {
  try { await post('/publish', event); showResult(result, done); } catch (error) { showResult(result, error.message, 'bad'); }
}

function sendTestEvent() {
  subscribe('playground');
  postEvent($('test-result'), { channel: 'playground', event: 'hello', data: { text: 'Hi from the playground', from: me.name } }, '');
}

// ---------------------------------------------------------------- snippets
function showSnippets() { // index.html holds the code with %name% in it
  const { app_id: appId, key, path } = config, tls = location.protocol === 'https:';
  const values = {
    appId, key, tls, TLS: tls ? 'True' : 'False', host: location.hostname, port: location.port || (tls ? 443 : 80),
    wsPath: path ? `\n  wsPath: '${path}',` : '', sdkPath: path ? ` It has no path option: reach the server without ${path}.` : '',
  };
  const fill = (node) => node.textContent.replace(/%(\w+)%/g, (_, name) => values[name]);
  for (const node of document.querySelectorAll('.code code')) paint(node, fill(node));
  $('python-note').textContent = fill($('python-note'));
  $('connect').hidden = false;
}

function openTab(chosen) {
  for (const tab of $('tabs').children) {
    tab.setAttribute('aria-selected', String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    $(tab.getAttribute('aria-controls')).hidden = tab !== chosen;
  }
  chosen.focus();
}

async function copy(button) {
  const source = $(button.dataset.copy);
  try { await navigator.clipboard.writeText(source.textContent); } catch (_) { // plain http on a LAN has no clipboard API
    getSelection().selectAllChildren(source);
    document.execCommand('copy');
  }
  button.classList.add('copied');
  setTimeout(() => button.classList.remove('copied'), 1500);
}

// ---------------------------------------------------------------- start
function wire() {
  const on = (id, type, action) => $(id).addEventListener(type, action);
  on('you', 'change', rename);
  on('subscribe-form', 'submit', (event) => {
    event.preventDefault();
    if ($('subscribe-input').value.trim()) subscribe($('subscribe-input').value.trim());
    event.target.reset();
    showKindHint();
  });
  on('subscribe-input', 'input', showKindHint);
  on('publish-form', 'submit', (event) => { event.preventDefault(); publish(); });
  on('publish-form', 'input', showMode);
  on('publish-data', 'keydown', (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) publish(); });
  on('test-event', 'click', sendTestEvent);
  for (const id of ['filter', 'protocol']) on(id, 'input', showEvents);
  on('tabs', 'click', ({ target }) => { if (target.id !== 'tabs') openTab(target); });
  on('tabs', 'keydown', ({ key, target }) => {
    const next = { ArrowRight: target.nextElementSibling, ArrowLeft: target.previousElementSibling }[key];
    if (next) openTab(next);
  });
  on('pause', 'click', () => {
    $('pause').setAttribute('aria-pressed', String(paused = !paused));
    flush();
  });
  on('clear', 'click', () => { queue = []; $('events').replaceChildren(); flush(); showEvents(); });
  on('retry', 'click', () => {
    if (!client) return location.reload(); // config.json did not load
    client.attempts = 0;
    if (!client.ws) client.connect('connecting');
  });
  document.addEventListener('click', ({ target }) => { if (target.closest('[data-copy]')) copy(target.closest('[data-copy]')); });
  $('you').value = me.name;
  showKindHint();
  showChannels();
}

async function start() {
  wire();
  try {
    config = await (await fetch(`${base}/config.json`)).json();
    if (!config.key) throw new Error(config.error || 'no app key');
  } catch (error) {
    return showState('refused', { reason: `The settings of this page could not be loaded (${error.message}).` });
  }
  for (const name of ['app_id', 'key', 'version']) $(`config-${name}`).textContent = config[name];
  if (config.command) {
    for (const id of ['first-command', 'code-shell']) {
      $(id).textContent = $(id).textContent.replace(/^soundpost/, () => config.command); // as the shell finds it
    }
  }
  for (const hint of document.querySelectorAll('[data-history]')) hint.hidden = !config.keeps_history;
  showSnippets();
  const query = `protocol=7&client=playground&version=${encodeURIComponent(config.version)}&flash=false`;
  const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${config.path || ''}/app/${encodeURIComponent(config.key)}?${query}`;
  client = new Client(url, config.activity_timeout || 30, { state: showState, log, event: onChannelEvent });
  subscribe('playground');
  client.connect('connecting');
}
start();
