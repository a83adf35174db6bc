// pusher-js in a worker, with the module.
'use strict';

self.onmessage = ({ data: { build, options, positions, channels } }) => {
  importScripts(build, '/broadcasting/soundpost-resume.min.js');
  const { key, authEndpoint, ...others } = options;
  const pusher = new Pusher(key, { cluster: '', ...others, channelAuthorization: { endpoint: authEndpoint } });
  Soundpost.resume(pusher, { positions, onGap: (channel, reason) => self.postMessage({ channel, reason }) });
  for (const channel of channels) {
    pusher.subscribe(channel).bind('told', ({ n }) => self.postMessage({ channel, number: n }));
  }
};
