// Line charts of the last hour. Values can be read by pointer, by arrow keys and by screen readers.

import { el, svg } from './elements.js';
import { duration, hour, time } from './formats.js';

const HEIGHT = 132;
const TOP = 14;
const BOTTOM = 22;
const HOUR = 3600;
const GAP = 20; // seconds without a sample that break the line

let made = 0;

// series: [{name, value: (sample) => number, tone}]; format: value in words with its unit; least: height of the axis.
export class Chart {
  constructor(title, series, format, { least = 0 } = {}) {
    Object.assign(this, { title, series, format, least, samples: [], at: null, width: 0 });
    const id = `chart-${made += 1}`;
    this.values = series.map(({ name, tone }) => el('span', { class: 'chart-value' },
      series.length > 1 && el('span', { class: `swatch tone-${tone}`, 'aria-hidden': 'true' }),
      series.length > 1 && el('span', { class: 'chart-name' }, name), el('strong', null, '–')));
    this.when = el('span', { class: 'chart-when' }, 'in a few seconds');
    this.picture = svg('svg', { class: 'picture', 'aria-hidden': 'true', focusable: 'false', height: HEIGHT });
    this.summary = el('p', { class: 'unseen', id: `${id}-summary` });
    this.plot = el('div', {
      class: 'plot', role: 'slider', tabindex: '0', 'aria-labelledby': `${id}-title`, 'aria-describedby': `${id}-summary`,
      'aria-valuemin': '0', 'aria-valuemax': '0', 'aria-valuenow': '0', 'aria-valuetext': 'No values yet',
      onkeydown: (event) => this.key(event), onblur: () => this.point(null),
      onpointermove: (event) => this.pointer(event), onpointerleave: () => this.point(null),
    }, this.picture);
    this.element = el('section', { class: 'card chart' },
      el('header', { class: 'chart-head' }, el('h2', { id: `${id}-title` }, title), this.when),
      el('p', { class: 'chart-values' }, this.values), this.plot, this.summary);
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  show(samples) {
    this.samples = samples;
    this.draw();
  }

  draw() {
    const { samples, plot } = this;
    this.width = plot.clientWidth;
    if (!samples.length || !this.width) return;
    this.end = samples.at(-1).at;
    this.begin = this.end - Math.min(HOUR, Math.max(300, this.end - samples[0].at));
    const highest = Math.max(...samples.map((sample) => Math.max(...this.series.map(({ value }) => value(sample)))));
    this.top = Math.max(this.least, niceTop(highest));
    this.picture.setAttribute('width', this.width);
    this.picture.replaceChildren(...this.grid(), ...this.series.flatMap((one) => this.line(one)), ...this.ticks(), this.pointed());
    this.tell();
  }

  x(at) { return (at - this.begin) / (this.end - this.begin) * (this.width - 1); }

  y(value) { return HEIGHT - BOTTOM - value / this.top * (HEIGHT - TOP - BOTTOM); }

  grid() {
    return [0, 0.5, 1].map((part) => {
      const y = Math.round(this.y(this.top * part)) + 0.5;
      return svg('line', { class: part ? 'grid' : 'axis', x1: 0, x2: this.width, y1: y, y2: y });
    });
  }

  ticks() {
    const values = [0.5, 1].map((part) => svg('text', { class: 'tick', x: 0, y: Math.round(this.y(this.top * part)) - 3 },
      this.format(this.top * part).replace(/\.0+(?= |$)/, '')));
    const span = this.end - this.begin;
    const step = [60, 120, 300, 600, 900].find((seconds) => span / seconds <= Math.max(2, this.width / 90)) || 1200;
    const hours = [];
    for (let at = Math.ceil(this.begin / step) * step; at <= this.end; at += step) {
      const x = this.x(at);
      if (x > 18 && x < this.width - 18) {
        hours.push(svg('text', { class: 'tick hour', x, y: HEIGHT - 6, 'text-anchor': 'middle' }, hour(at)));
      }
    }
    return [...values, ...hours];
  }

  line({ value, tone }) {
    const pieces = [];
    let last = -Infinity;
    for (const sample of this.samples) {
      if (sample.at < this.begin) continue;
      if (sample.at - last > GAP) pieces.push([]);
      pieces.at(-1).push([this.x(sample.at).toFixed(1), this.y(value(sample)).toFixed(1)]);
      last = sample.at;
    }
    const floor = this.y(0);
    return pieces.flatMap((points) => {
      const path = points.map((point) => point.join(' ')).join('L');
      const area = `M${points[0][0]} ${floor}L${path}L${points.at(-1)[0]} ${floor}z`;
      return [tone === 1 && svg('path', { class: 'area', d: area }), svg('path', { class: `line tone-${tone}`, d: `M${path}` })];
    }).filter(Boolean);
  }

  pointed() {
    const sample = this.chosen();
    if (this.at == null || !sample) return svg('g');
    const x = this.x(sample.at);
    return svg('g', null, svg('line', { class: 'cross', x1: x, x2: x, y1: TOP - 6, y2: HEIGHT - BOTTOM }),
      this.series.map(({ value, tone }) => svg('circle', { class: `knot tone-${tone}`, cx: x, cy: this.y(value(sample)), r: 3.5 })));
  }

  // The sample that is pointed at: kept by its time, as new ones arrive.
  index() {
    if (this.at == null) return this.samples.length - 1;
    const found = this.samples.findIndex((sample) => sample.at >= this.at);
    return found < 0 ? this.samples.length - 1 : found;
  }

  chosen() { return this.samples[this.index()]; }

  point(at) {
    if (at === this.at) return;
    this.at = at;
    this.draw();
  }

  pointer(event) {
    if (!this.samples.length) return;
    const box = this.plot.getBoundingClientRect();
    const at = this.begin + (event.clientX - box.left) / box.width * (this.end - this.begin);
    const near = this.samples.reduce((best, one) => (Math.abs(one.at - at) < Math.abs(best.at - at) ? one : best));
    this.point(near.at);
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -12, PageUp: 12, Home: -Infinity, End: Infinity };
    if (event.key === 'Escape') return this.point(null);
    if (!(event.key in steps) || !this.samples.length) return;
    event.preventDefault();
    const last = this.samples.length - 1;
    this.point(this.samples[Math.min(last, Math.max(0, this.index() + steps[event.key]))].at);
  }

  tell() {
    const sample = this.chosen();
    const words = this.series.map(({ name, value }, index) => {
      const text = this.format(value(sample));
      this.values[index].lastChild.textContent = text;
      return this.series.length > 1 ? `${name} ${text}` : text;
    });
    this.when.textContent = this.at == null ? 'now' : time(sample.at);
    this.plot.setAttribute('aria-valuemax', this.samples.length - 1);
    this.plot.setAttribute('aria-valuenow', this.index());
    this.plot.setAttribute('aria-valuetext', `${time(sample.at)}: ${words.join(', ')}`);
    const ranges = this.series.map(({ name, value }) => {
      const all = this.samples.map(value);
      const range = `lowest ${this.format(Math.min(...all))}, highest ${this.format(Math.max(...all))}`;
      return this.series.length > 1 ? `${name}: ${range}` : range;
    });
    this.summary.textContent = `Last ${duration(this.end - this.begin)}: ${ranges.join('; ')}. Arrow keys read single values.`;
  }
}

function niceTop(highest) {
  if (!(highest > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 4, 6, 8, 10].find((step) => step * power >= highest * 1.02) * power || power * 10;
}
