// Pages that are kept up to date: loaded at once, again and again while they are to be seen, and when the server is back.

import { notice } from './elements.js';

let onReturn = () => {};

// The server is back after it was lost.
export const serverIsBack = () => onReturn();

// What the page that is shown does when the server is back.
export function whenServerIsBack(signal, action) {
  onReturn = action;
  signal.addEventListener('abort', () => { if (onReturn === action) onReturn = () => {}; });
}

// load(signal) fills the page; where: an element for what went wrong. Returns a function that loads at once.
export function keepFresh(signal, seconds, where, load) {
  let timer;
  let asked = null;
  const refresh = async () => {
    clearTimeout(timer);
    asked?.abort();
    const mine = asked = new AbortController();
    try {
      if (!document.hidden) {
        await load(mine.signal);
        where.replaceChildren();
      }
    } catch (error) {
      if (error.name === 'AbortError' || signal.aborted || error.status === 401) return;
      if (!error.status && error.status !== 0) throw error; // a fault of the page itself
      where.replaceChildren(notice('This could not be loaded.', error.message, 'bad'));
    }
    if (mine === asked && !signal.aborted) timer = setTimeout(refresh, seconds * 1000);
  };
  const seen = () => { if (!document.hidden) refresh(); };
  document.addEventListener('visibilitychange', seen);
  signal.addEventListener('abort', () => {
    clearTimeout(timer);
    asked?.abort();
    document.removeEventListener('visibilitychange', seen);
  });
  whenServerIsBack(signal, refresh);
  refresh();
  return refresh;
}
