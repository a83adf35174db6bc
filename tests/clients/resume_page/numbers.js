// The numbers 1, 2, 3 … that a page was given: with its data, and then by events. Shows them by channel as "1-12, 15".
'use strict';

window.Numbers = {
  rendered: 0,
  heard: {}, // by channel, in the order in which the handlers were called
  wrong: '',
  gaps: [],
  resumed: [],
  changed: () => {},

  tell(channel, number) {
    const heard = (this.heard[channel] ??= []);
    if (heard.length && number <= heard.at(-1)) this.wrong += `${channel}: ${number} after ${heard.at(-1)}. `;
    heard.push(number);
    this.changed();
  },
  text(channel) {
    const had = new Set(this.heard[channel]);
    for (let number = 1; number <= this.rendered; number++) had.add(number);
    const runs = [];
    for (const number of [...had].sort((a, b) => a - b)) {
      if (runs.length && runs.at(-1)[1] === number - 1) runs.at(-1)[1] = number;
      else runs.push([number, number]);
    }
    return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(', ');
  },
  // Show all that there is to see, whenever something changes.
  show(channels) {
    const body = document.getElementById('numbers');
    const lines = channels.map((channel) => {
      const line = document.createElement('p');
      line.dataset.channel = channel;
      body.append(line);
      return line;
    });
    this.changed = () => {
      for (const line of lines) line.textContent = this.text(line.dataset.channel);
      document.getElementById('wrong').textContent = this.wrong;
      document.getElementById('gaps').textContent = this.gaps.join(' ');
    };
    this.changed();
  },
  until: (condition) =>
    new Promise((done) => {
      const timer = setInterval(() => {
        if (!condition()) return;
        clearInterval(timer);
        done();
      }, 2);
    }),
  options() {
    return {
      onGap: (channel, reason) => {
        this.gaps.push(`${channel}:${reason}`);
        this.changed();
      },
      onResumed: (channel, count) => this.resumed.push(`${channel}:${count}`),
    };
  },
};
