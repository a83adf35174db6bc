// The figures of all hosts, kept up to date by one stream while the page is to be seen.

import { get } from './api.js';
import { Stream } from './stream.js';

const KEPT = 720; // samples: an hour of 5 s
const RATE_OVER = 12; // seconds; hosts state their figures every 5 s

export class Live {
  constructor(onState) {
    Object.assign(this, { hosts: [], past: [], samples: [], listeners: new Set(), onState, stream: null });
    document.addEventListener('visibilitychange', () => this.follow());
  }

  start() {
    this.started = true;
    this.follow();
  }

  stop() {
    this.started = false;
    this.follow();
  }

  listen(action, signal) {
    this.listeners.add(action);
    signal.addEventListener('abort', () => this.listeners.delete(action));
    if (this.hosts.length) action();
  }

  follow() {
    const wanted = this.started && !document.hidden;
    if (wanted === Boolean(this.stream)) return;
    if (!wanted) {
      this.stream.end();
      this.stream = null;
      return;
    }
    this.stream = new Stream('live', {
      mustSpeak: true,
      onMessage: (news) => this.take(news),
      onState: (state, reason) => {
        if (state === 'connected') this.load();
        this.onState(state, reason);
      },
    });
  }

  // The last hour: asked for at each start of the stream, as samples were missed before.
  async load() {
    const overview = await get('overview').catch(() => null);
    if (!overview) return;
    this.samples = overview.timeline.samples.slice(-KEPT);
    this.takeHosts(overview.hosts);
    this.tell();
  }

  take({ hosts, sample }) {
    this.takeHosts(hosts);
    if (sample && !(sample.at <= this.samples.at(-1)?.at)) {
      this.samples.push(sample);
      this.samples.splice(0, this.samples.length - KEPT);
    }
    this.tell();
  }

  // Keep the figures of the last seconds too: what rates are worked out from.
  takeHosts(hosts) {
    this.hosts = hosts;
    this.past.push(hosts);
    while (this.past.length > 2 && hosts[0].at - this.past[1][0].at > RATE_OVER) this.past.shift();
  }

  tell() { for (const listener of this.listeners) listener(); }

  // Return a host's rate of something per second over the last seconds; null if not known yet.
  rateOf(host, total) {
    const past = this.past.flat().find((one) => one.node === host.node);
    const seconds = host.at - past.at;
    const grown = seconds > 0.5 ? total(host) - total(past) : NaN;
    return grown >= 0 ? grown / seconds : null;
  }
}

export function sum(values) {
  let total = 0;
  for (const value of values) total += value || 0;
  return total;
}

export const appsOf = (host) => Object.values(host.apps);
