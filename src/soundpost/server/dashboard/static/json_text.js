// JSON for readers: coloured, indented, and what is wrong with text that is none.

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

// Return where and why text stops being JSON.
export function jsonProblem(text) {
  let at = 0;
  let why = 'not valid JSON';
  const need = (ok, reason) => { if (!ok) throw new Error(reason); };
  const take = (sticky) => {
    sticky.lastIndex = at;
    return sticky.test(text) && ((at = sticky.lastIndex), true);
  };
  const is = (mark) => take(/[ \t\r\n]*/y) && text[at] === mark && Boolean(++at);
  const string = () => !is('') && take(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y);
  const list = (close, item) => {
    if (is(close)) return;
    do item(); while (is(','));
    need(is(close), `expected a comma or ${close}`);
  };
  const pair = () => {
    need(string(), 'expected a name in double quotes');
    need(is(':'), 'expected a colon after the name');
    value();
  };
  const value = () => {
    if (is('{')) list('}', pair);
    else if (is('[')) list(']', value);
    else {
      need(string() || take(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y),
        text[at] === '"' ? 'this text is not closed, or needs a backslash' : 'expected a value (text goes in double quotes)');
    }
  };
  try { value(); need(!is('') && at === text.length, 'nothing may follow the value'); } catch (error) { why = error.message; }
  const lines = text.slice(0, at).split('\n');
  return `Line ${lines.length}, column ${lines.pop().length + 1}: ${why}.`;
}
