// JSON for readers: coloured and indented.

import { el } from './elements.js';

const TOKENS = /("(?:\\.|[^"\\])*")(?=(\s*:)?)|\b(true|false|null)\b|(-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b)/g;

// Fill an element with JSON text, indented and coloured; other text is shown as it is.
export function showJson(node, text) {
  let indented = text;
  try {
    let value = JSON.parse(text);
    if (typeof value === 'string') value = unwrapped(value); // the protocol wraps data in a string
    indented = JSON.stringify(value, null, 2);
  } catch (_) { /* shown as it is */ }
  node.textContent = '';
  let at = 0;
  for (const match of indented.length < 20_000 ? indented.matchAll(TOKENS) : []) {
    const kind = match[1] ? (match[2] ? 'key' : 'string') : match[3] ? 'word' : 'number';
    node.append(indented.slice(at, match.index), el('span', { class: `t-${kind}` }, match[0]));
    at = match.index + match[0].length;
  }
  node.append(indented.slice(at));
}

function unwrapped(text) {
  try { return JSON.parse(text); } catch (_) { return text; }
}
