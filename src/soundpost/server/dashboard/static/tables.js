// Tables, which narrow windows show as a list: each cell with the name of its column, those without a value left out.

import { el } from './elements.js';

// columns: [name, 'amount' or null]; bodies: rows, or lists of rows that belong together.
export function table(name, columns, ...bodies) {
  const shown = el('table', { role: 'table' }, el('caption', { class: 'unseen' }, name),
    el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, columns.map(([text, kind]) =>
      el('th', { scope: 'col', role: 'columnheader', class: kind }, text)))),
    bodies.map((rows) => el('tbody', { role: 'rowgroup' }, rows)));
  for (const row of shown.querySelectorAll('tbody tr')) {
    row.setAttribute('role', 'row');
    [...row.cells].forEach((cell, at) => {
      cell.setAttribute('role', cell.tagName === 'TH' ? 'rowheader' : 'cell'); // CSS takes them away from lists
      cell.dataset.column ??= columns[at][0];
      if (cell.tagName === 'TD' && ['', '–'].includes(cell.textContent)) cell.dataset.nothing = '';
    });
  }
  return shown;
}

export function scrollable(name, ...children) {
  return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `Table of ${name}` }, ...children);
}
