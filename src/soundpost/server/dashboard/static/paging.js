// Lists that are too long for one page: a form that searches them, a table, and buttons between its pages.

import { el, icon, notice, replace } from './elements.js';
import { number } from './formats.js';
import { keepFresh } from './refreshing.js';
import { noteQuery } from './routes.js';
import { scrollable, table } from './tables.js';

const PAGE = 50;
const FRESH_FOR = 10; // seconds

// A list: form: its fields by name of the query; load(query, signal) gives {rows, total, next, missing};
// columns: [name, 'amount' or null]; row(line) gives a <tr>; nothing(query) what to show without rows.
export function pagedList({ signal, name, form, fields, columns, load, row, nothing }) {
  const trouble = el('div');
  const missing = el('div');
  const body = scrollable(name);
  const range = el('p', { class: 'range' });
  const said = el('p', { class: 'unseen', role: 'status' }); // what the reader asked for; no news of its own accord
  const back = el('button', { type: 'button', class: 'button small', disabled: true }, icon('back'), 'Previous');
  const on = el('button', { type: 'button', class: 'button small', disabled: true }, 'Next', icon('chevron'));
  let starts = ['']; // what the pages up to this one begin behind
  let next = null;
  let wasAsked = false;
  const asked = () => Object.fromEntries(Object.entries(fields).map(([key, input]) => [key, input.value.trim()]));

  const refresh = keepFresh(signal, FRESH_FOR, trouble, async (aborted) => {
    const query = asked();
    const page = await load({ ...query, after: starts.at(-1), limit: PAGE }, aborted);
    if (!page.rows.length && starts.length > 1) { // what was there has left
      starts = [''];
      return refresh();
    }
    next = page.next;
    const first = (starts.length - 1) * PAGE + 1;
    const text = page.rows.length ? `${number(first)} to ${number(first + page.rows.length - 1)} of ${number(page.total)}` : '';
    range.textContent = text;
    if (wasAsked) said.textContent = text || 'Nothing found';
    wasAsked = false;
    back.disabled = starts.length < 2;
    on.disabled = next == null;
    missing.replaceChildren(...missingNotice(page.missing, name));
    replace(body, page.rows.length ? table(name, columns, page.rows.map(row)) : nothing(query));
    return undefined;
  });
  const turn = (change) => {
    change();
    wasAsked = true;
    body.scrollTop = 0;
    refresh();
  };
  back.addEventListener('click', () => turn(() => starts.pop()));
  on.addEventListener('click', () => turn(() => starts.push(next)));
  let timer;
  const search = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (signal.aborted) return;
      noteQuery(asked());
      turn(() => { starts = ['']; });
    }, 200);
  };
  form.addEventListener('input', search);
  form.addEventListener('submit', (event) => event.preventDefault());
  return el('div', { class: 'list' }, form, trouble, missing,
    el('div', { class: 'card list-card' }, body, el('footer', { class: 'pager' }, range, back, on)), said);
}

export function missingNotice(missing, name) {
  return missing?.length ? [notice('Not all answered.', `${missing.join(', ')} gave no answer in time: their ${name} are missing here.`)] : [];
}
