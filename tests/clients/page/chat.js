// What a page with Laravel Echo does: listens on every kind of channel of a room and shows what it hears.
'use strict';

const query = new URLSearchParams(location.search);
const room = query.get('room');
const echo = new Echo.default({
  broadcaster: 'reverb',
  key: query.get('key'),
  wsHost: location.hostname,
  wsPort: Number(query.get('port')),
  wssPort: Number(query.get('port')),
  forceTLS: query.has('tls'),
  enabledTransports: ['ws', 'wss'],
  namespace: false,
});
window.echo = echo; // for whoever looks at the page by hand

const show = (id, text) => { document.getElementById(id).textContent = text; };

// One line: what was heard, where, and the data as text.
function log(event, channel, data) {
  const line = document.createElement('li');
  line.dataset.event = event;
  line.dataset.channel = channel;
  line.textContent = data === undefined ? '' : JSON.stringify(data);
  document.getElementById('log').append(line);
}

show('status', echo.connectionStatus());
echo.connector.onConnectionChange((status) => show('status', status));

function follow(channel) {
  return channel
    .subscribed(() => log('subscribed', channel.name))
    .error((error) => log('error', channel.name, error.status))
    .listen('Posted', (data) => log('Posted', channel.name, data))
    .listen('.post.edited', (data) => log('post.edited', channel.name, data));
}

follow(echo.channel(room));
follow(echo.private(room));
follow(echo.encryptedPrivate(room));
follow(echo.private(`${room}.forbidden`));
follow(echo.private(`${room}.forged`));
echo.private(room).notification((data) => log('notification', `private-${room}`, data));

let members = [];
const showMembers = () => show('members', members.map(({ name }) => name).sort().join(', '));
follow(echo.join(room))
  .here((present) => { members = present; showMembers(); })
  .joining((member) => { members.push(member); showMembers(); log('joining', `presence-${room}`, member.name); })
  .leaving((member) => {
    members = members.filter(({ name }) => name !== member.name);
    showMembers();
    log('leaving', `presence-${room}`, member.name);
  })
  .listenForWhisper('typing', (data) => log('typing', `presence-${room}`, data));

document.getElementById('whisper').addEventListener('submit', (event) => {
  event.preventDefault();
  echo.join(room).whisper('typing', { draft: document.getElementById('draft').value });
});
document.getElementById('leave').addEventListener('click', () => echo.leave(room));
