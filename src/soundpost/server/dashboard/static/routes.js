// Addresses of the pages, behind the # of the page's own: #/overview, #/apps/shop/channels/orders?search=a

import { currentSession } from './api.js';

const OF_AN_APP = ['channels', 'connections', 'tail', 'webhooks', 'send'];

// Return {page, app, name, query}; name is a channel or a socket id.
export function parse(hash) {
  const [path, search] = hash.replace(/^#\/?/, '').split('?');
  const query = Object.fromEntries(new URLSearchParams(search || ''));
  const parts = path.split('/').map((part) => {
    try { return decodeURIComponent(part); } catch (_) { return part; }
  });
  if (parts[0] === 'apps' && parts.length > 2) return { page: parts[2], app: parts[1], name: parts[3] || '', query };
  return { page: parts[0] || 'overview', app: '', name: '', query };
}

export const isOfAnApp = (page) => OF_AN_APP.includes(page);

// The app whose pages are shown: that of the address, else the last one that was, else the first.
let lastApp = '';

export function appOf(route) {
  const known = (currentSession()?.apps || []).map((app) => app.id);
  if (known.includes(route.app)) lastApp = route.app;
  return route.app || (known.includes(lastApp) ? lastApp : known[0] || '');
}

export function chooseApp(id) { lastApp = id; }

export function link(page, { app = lastApp, name = '', query = {} } = {}) {
  const parts = isOfAnApp(page) ? ['apps', app, page, name].filter(Boolean) : [page];
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return `#/${parts.map(encodeURIComponent).join('/')}${text && `?${text}`}`;
}

// Note what a form asked for in the address, so that reloading and coming back show the same.
export function noteQuery(query) {
  const [path] = location.hash.split('?');
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  history.replaceState(null, '', path + (text && `?${text}`));
}
