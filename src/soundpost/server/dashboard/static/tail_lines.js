// Lines of a tail. What a line holds is worked out when it is opened: hundreds arrive each second.

import { el, icon } from './elements.js';
import { count, preciseTime } from './formats.js';
import { showJson } from './json_text.js';

const PREVIEW = 200; // characters
const CUT_AT = 2000; // characters; the server cuts data off there

export function tailLine(line) {
  const shown = el('pre', { tabindex: '0', 'aria-label': 'Data' });
  const details = el('details', null,
    el('summary', null, icon('chevron'),
      el('time', null, preciseTime(line.at)),
      el('span', { class: `what what-${line.what}` }, line.what),
      el('span', { class: 'line-event' }, line.event || line.detail || '–'),
      el('span', { class: 'line-preview' }, line.event ? line.data.slice(0, PREVIEW) : ''),
      el('span', { class: 'line-channel' }, [line.channel || line.socket_id,
        line.recipients != null && count(line.recipients, 'client')].filter(Boolean).join(' · '))));
  details.addEventListener('toggle', () => {
    if (!details.open || details.childElementCount > 1) return;
    details.append(more(line), shown);
    if (line.data) showJson(shown, line.data);
    else shown.remove();
  });
  const text = [line.what, line.event, line.channel, line.socket_id, line.data, line.detail].join(' ').toLowerCase();
  return el('li', { 'data-text': text, 'data-what': line.what, 'data-at': line.at }, details);
}

function more(line) {
  const pairs = [['Channel', line.channel], ['Socket', line.socket_id],
    ['Receivers', line.recipients == null ? '' : count(line.recipients, 'client')], ['Note', line.detail], ['Where', line.worker],
    ['Data', line.data ? line.data.length >= CUT_AT && 'cut off: only its beginning is shown' : 'none']];
  return el('dl', { class: 'line-facts' }, pairs.filter(([, value]) => value).map(([name, value]) =>
    el('div', null, el('dt', null, name), el('dd', null, value))));
}

export function leftOut(lines, at) {
  return el('li', { class: 'left-out', 'data-text': '', 'data-at': at }, `${count(lines, 'line')} left out here`);
}
