// A stream of server-sent events that comes back by itself, and ends with the session.
// EventSource does not tell why it failed: a lost server and an ended session are told apart by a request.

import { loadSession, refusalOf } from './api.js';

const SILENT_AFTER = 15; // seconds; for streams that say something every few seconds

export class Stream {
  // onState gets 'connected', or 'lost' and the server's sentence if the server refuses the stream.
  constructor(path, { onMessage, onState, mustSpeak = false }) {
    Object.assign(this, { path, onMessage, onState, mustSpeak, attempts: 0, ended: false });
    this.open();
  }

  open() {
    if (this.ended) return;
    this.source?.close();
    const source = this.source = new EventSource(`api/${this.path}`);
    this.listen();
    source.onopen = () => {
      this.attempts = 0;
      this.onState('connected');
    };
    source.onmessage = (message) => {
      this.listen();
      this.onMessage(JSON.parse(message.data));
    };
    source.onerror = () => { if (source === this.source) this.lost(); };
  }

  listen() {
    clearTimeout(this.silence);
    if (this.mustSpeak) this.silence = setTimeout(() => this.lost(), SILENT_AFTER * 1000);
  }

  lost(reason = '') {
    if (this.ended) return;
    this.source.close();
    clearTimeout(this.silence);
    this.onState('lost', reason);
    const delay = Math.min(10, 0.5 * 2 ** this.attempts++);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.again(), delay * 1000);
  }

  async again() {
    try {
      await loadSession();
    } catch (error) {
      if (error.status !== 401) this.lost();
      return; // an ended session leads to the login, which opens the page again
    }
    const reason = await refusalOf(this.path);
    if (reason) this.lost(reason);
    else this.open();
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    this.source?.close();
  }
}
