// One unmodified pusher-js in a page or a worker, whose build is loaded before; `seen` is all that it hands on.

const seen = [];

function observe({ host, port, channels, sharedSecret }, atTheEnd) {
  const customHandler = ({ channelName }, callback) => callback(null, {
    auth: 'key:signed',
    channel_data: channelName.startsWith('presence-') ? '{"user_id":"ann","user_info":{"name":"Ann"}}' : undefined,
    shared_secret: sharedSecret,
  });
  const pusher = new Pusher('key', {
    wsHost: host, wsPort: port, forceTLS: false, cluster: '', enabledTransports: ['ws'], enableStats: false,
    channelAuthorization: { customHandler },
  });
  const report = (what, fields) => seen.push(JSON.parse(JSON.stringify({ report: what, ...fields })));
  pusher.connection.bind('state_change', ({ current }) => report('state', { current }));
  pusher.connection.bind('message', (message) => report('message', message));
  for (const name of channels) {
    const channel = pusher.subscribe(name);
    for (const event of ['placed', 'client-wave']) {
      channel.bind(event, (data, metadata) => report('heard', { channel: name, event, data, metadata }));
    }
    channel.bind_global((event, data) => {
      report('event', { channel: name, event, data });
      if (event === 'over') atTheEnd(seen);
    });
  }
}
