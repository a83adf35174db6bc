// The unmodified `pusher` package: what a Node.js back end publishes with, and answers /broadcasting/auth with.

import Pusher from 'pusher';
import { options, serve } from './lines.mjs';

const pusher = new Pusher(options);
const body = async (response) => (await response).json();

const webhook = (headers, rawBody) => {
  const hook = pusher.webhook({ headers, rawBody });
  return hook.isValid() ? { valid: true, events: hook.getEvents() } : { valid: false };
};

await serve({
  webhook,
  trigger: (channels, event, data, params) => body(pusher.trigger(channels, event, data, params ?? undefined)),
  triggerBatch: (batch) => body(pusher.triggerBatch(batch)),
  get: (path, params) => body(pusher.get({ path, params })),
  sendToUser: (userId, event, data) => body(pusher.sendToUser(userId, event, data)),
  terminateUserConnections: (userId) => body(pusher.terminateUserConnections(userId)),
  authorizeChannel: (socketId, channel, data) => pusher.authorizeChannel(socketId, channel, data ?? undefined),
  authenticateUser: (socketId, user) => pusher.authenticateUser(socketId, user),
});
