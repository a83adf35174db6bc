// The page: its session, its parts around the pages, and which of the pages is shown.

import { currentSession, loadSession, logOut, whenSessionEnds } from './api.js';
import { byId, el, icon } from './elements.js';
import { Live } from './live.js';
import { appOf, chooseApp, isOfAnApp, link, parse } from './routes.js';
import { serverIsBack } from './refreshing.js';
import * as apps from './apps.js';
import * as channel from './channel.js';
import * as channels from './channels.js';
import * as connection from './connection.js';
import * as connections from './connections.js';
import * as login from './login.js';
import * as overview from './overview.js';
import * as refused from './refused.js';
import * as send from './send.js';
import * as tail from './tail.js';
import * as webhooks from './webhooks.js';

const PAGES = { overview, channels, connections, tail, refused, webhooks, send, apps };
const ONE_OF = { channels: channel, connections: connection };

let shown = new AbortController();
let lost = false;
let wasAsked = false; // for the password
const live = new Live(showState);

function show(page, route, app, focus) {
  shown.abort();
  shown = new AbortController();
  const view = el('div', { class: 'view', id: 'view' });
  byId('view').replaceWith(view);
  const name = page.nameOf ? page.nameOf(route) : page.title;
  document.title = `${name} · Soundpost dashboard`;
  page.open(view, { route, app, live, signal: shown.signal, session: currentSession(), enter });
  if (focus) view.querySelector('h1')?.focus({ preventScroll: true });
}

function openRoute(focus) {
  if (!currentSession()) return;
  const route = parse(location.hash);
  const app = appOf(route);
  const page = (route.name && ONE_OF[route.page]) || PAGES[route.page] || overview;
  closeMenu();
  showNavigation(route, app);
  show(page, route, app, focus);
  if (focus) scrollTo(0, 0);
}

function showNavigation(route, app) {
  const current = PAGES[route.page] ? route.page : 'overview';
  byId('nav').replaceChildren(el('ul', null, Object.entries(PAGES).map(([page, { title }]) => el('li', null,
    el('a', { href: link(page, { app }), 'aria-current': page === current && 'page' }, icon(page), title)))));
  const { apps: known, needs_password: needsPassword, version, host } = currentSession();
  const chooser = byId('app');
  chooser.replaceChildren(...known.map(({ id }) => el('option', { value: id, selected: id === app }, id)));
  byId('app-chooser').hidden = known.length < 2 || !isOfAnApp(current);
  byId('log-out').hidden = !needsPassword;
  byId('nav').hidden = byId('menu').hidden = byId('status').hidden = false;
  byId('version').textContent = `Soundpost ${version} on ${host}`;
}

function showLogin() {
  wasAsked = true;
  live.stop();
  byId('notice').hidden = true;
  for (const id of ['nav', 'menu', 'status', 'log-out', 'app-chooser']) byId(id).hidden = true;
  show(login, parse(location.hash), '', true);
}

function showState(state, reason) {
  if (byId('state').textContent !== state) byId('state').textContent = state;
  byId('status').dataset.state = state;
  if (state === 'lost' && (!lost || reason)) {
    byId('notice').replaceChildren(el('p', null, el('strong', null, reason ? `${reason}.` : 'The connection to the server is lost.'),
      ' What you see may be old. The page tries again by itself.'));
  }
  byId('notice').hidden = state !== 'lost';
  if (state === 'connected' && lost) serverIsBack();
  lost = state === 'lost';
}

// Show the page that the address names, with the session that the server gives; else the login.
async function enter() {
  try {
    await loadSession();
  } catch (error) {
    if (error.status === 401) return showLogin();
    byId('notice').replaceChildren(el('p', null, el('strong', null, 'The dashboard cannot start.'), ` ${error.message}`),
      el('button', { type: 'button', class: 'button small', onclick: enter }, 'Try again'));
    byId('notice').hidden = false;
    return undefined;
  }
  byId('notice').hidden = true;
  openRoute(wasAsked);
  wasAsked = false;
  live.start();
  return undefined;
}

function closeMenu() {
  byId('frame').classList.remove('menu-open');
  byId('menu').setAttribute('aria-expanded', 'false');
}

byId('menu').addEventListener('click', () => {
  const open = byId('frame').classList.toggle('menu-open');
  byId('menu').setAttribute('aria-expanded', String(open));
  if (open) byId('nav').querySelector('a').focus();
});
byId('nav').addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || !byId('frame').classList.contains('menu-open')) return;
  closeMenu();
  byId('menu').focus();
});
byId('app').addEventListener('change', (event) => {
  chooseApp(event.target.value);
  location.hash = link(parse(location.hash).page, { app: event.target.value });
});
byId('log-out').addEventListener('click', async () => {
  await logOut().catch(() => {});
  showLogin();
});
byId('skip').addEventListener('click', (event) => {
  event.preventDefault(); // the address belongs to the pages
  byId('view').querySelector('h1')?.focus();
});
whenSessionEnds(showLogin);
addEventListener('hashchange', () => openRoute(true));
enter();
