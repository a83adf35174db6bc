// Requests to the server's JSON API, and the session that they need.

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let session = null;
let onEnd = () => {};

export const currentSession = () => session;

// What to do when the server says that the session has ended.
export function whenSessionEnds(action) { onEnd = action; }

export async function loadSession() {
  session = await request('GET', 'session');
  return session;
}

export async function logIn(password) {
  await request('POST', 'login', { password });
}

export async function logOut() {
  await request('POST', 'logout').catch((error) => { if (error.status !== 401) throw error; });
  session = null;
}

export const get = (path, query, signal) => request('GET', path + asQuery(query), undefined, signal);
export const post = (path, body) => request('POST', path, body);
export const remove = (path) => request('DELETE', path);

// Return the server's sentence on why it refuses a stream, which browsers do not tell; empty if it does not refuse it.
export async function refusalOf(path) {
  const asking = new AbortController();
  const response = await fetch(`api/${path}`, { signal: asking.signal, cache: 'no-store', redirect: 'error' }).catch(() => null);
  const answer = response && !response.ok && await response.json().catch(() => null);
  asking.abort();
  return answer?.error || '';
}

export function appPath(app, ...parts) {
  return ['apps', app, ...parts].map(encodeURIComponent).join('/');
}

export function asQuery(query) {
  const text = new URLSearchParams(Object.entries(query || {}).filter(([, value]) => value)).toString();
  return text && `?${text}`;
}

async function request(method, path, body, signal) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET' && session) headers['X-CSRF-Token'] = session.csrf;
  let response;
  try {
    response = await fetch(`api/${path}`, {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), cache: 'no-store', redirect: 'error',
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'The server could not be reached. Check that the server runs, then try again.');
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch((error) => {
    if (error.name === 'AbortError') throw error;
    if (response.ok) throw new ApiError(0, 'The server’s answer was incomplete. Check that the server runs, then try again.');
    return null;
  });
  if (response.ok) return answer;
  const error = new ApiError(response.status, answer?.error || `The server answered with status ${response.status}.`);
  if (response.status === 401 && session && path !== 'login') {
    session = null;
    onEnd();
  }
  throw error;
}
