// Elements of the page. Whatever the server sends becomes text nodes and attributes, never HTML.

const SVG = 'http://www.w3.org/2000/svg';

export const byId = (id) => document.getElementById(id);

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

export const el = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);

export const svg = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

export function icon(name) {
  return svg('svg', { class: 'i', 'aria-hidden': 'true' }, svg('use', { href: `#i-${name}` }));
}

export function heading(title, ...more) {
  return el('header', { class: 'head' }, el('h1', { tabindex: '-1' }, title), ...more);
}

export function card(title, ...children) {
  return el('section', { class: 'card', 'aria-label': title },
    el('header', { class: 'card-head' }, el('h2', null, title)), ...children);
}

// A notice: what is wrong, and what to do about it.
export function notice(strong, text, tone = 'warn') {
  return el('div', { class: 'notice', 'data-tone': tone }, el('p', null, el('strong', null, strong), ' ', text));
}

export function empty(title, ...text) {
  return el('div', { class: 'empty' }, el('p', { class: 'empty-title' }, title), el('p', null, ...text));
}

// Names and values, for one channel or connection. Values that are missing are shown as a dash.
export function facts(pairs) {
  return el('dl', { class: 'facts' }, pairs.map(([name, value]) => el('div', null,
    el('dt', null, name), el('dd', null, value == null || value === '' ? '–' : value))));
}

// Replace what a container shows, but for text that the reader has selected. The link or button that had the focus
// keeps it, if it is there again.
export function replace(container, ...children) {
  const selection = getSelection();
  if (!selection.isCollapsed && container.contains(selection.anchorNode)) return;
  const key = container.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  container.replaceChildren(...children.flat().filter((child) => child != null && child !== false));
  if (key) container.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

export function field(label, input, hint) {
  const id = input.id;
  if (hint) input.setAttribute('aria-describedby', `${id}-hint`);
  return el('div', { class: 'field' }, el('label', { for: id }, label), input,
    hint && el('p', { class: 'hint', id: `${id}-hint` }, hint));
}

export function searchField(id, label, value) {
  return el('div', { class: 'search' }, icon('search'), el('input', {
    type: 'search', id, value, placeholder: label, 'aria-label': label, autocomplete: 'off', spellcheck: 'false', maxlength: '200',
  }));
}

export function select(id, label, options, value) {
  return el('select', { id, 'aria-label': label }, options.map(([name, text]) =>
    el('option', { value: name, selected: name === value }, text)));
}
