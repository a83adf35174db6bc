// A headless Chromium, driven page by page; everything its pages fetched is kept for inspection.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { options, serve } from './lines.mjs';

const TIMEOUT = 60_000;
const browser = await chromium.launch({
  executablePath: options.executable,
  headless: true,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const profiles = new Map(); // by name: tabs of one profile share cookies, as one person's tabs do
const pages = new Map();
let traffic = [];
let complaints = [];

async function profile(name, ignoreHTTPSErrors) {
  if (!profiles.has(name)) {
    // The scale is for screenshots that are sharp.
    const context = await browser.newContext({ ignoreHTTPSErrors, deviceScaleFactor: 2 });
    context.setDefaultTimeout(TIMEOUT);
    profiles.set(name, context);
  }
  return profiles.get(name);
}

function watch(page) {
  page.on('request', (request) => traffic.push({ url: request.url() }));
  page.on('response', (response) => {
    const body = response.text().catch(() => ''); // a redirect or an aborted request has none
    traffic.push({ url: response.url(), status: response.status(), headers: response.headers(), body });
  });
  page.on('websocket', (socket) => {
    traffic.push({ url: socket.url() });
    socket.on('framereceived', ({ payload }) => traffic.push({ url: socket.url(), body: String(payload) }));
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // What a server answers is no fault of the page; it is in the traffic.
    if (message.type() !== 'error' || message.text().startsWith('Failed to load resource: the server responded')) return;
    // pusher-js tries TLS, too, where a plain connection takes two seconds.
    if (/^WebSocket connection to 'wss:.* net::ERR_SSL_PROTOCOL_ERROR$/.test(message.text())) return;
    complaints.push(message.text());
  });
}

const at = (page, selector) => pages.get(page).locator(selector);

await serve({
  async open(name, url, profileName, ignoreHTTPSErrors) {
    const page = await (await profile(profileName, ignoreHTTPSErrors)).newPage();
    pages.set(name, page);
    watch(page);
    await page.goto(url);
  },
  async reload(name) {
    await pages.get(name).reload();
  },
  async close(name) {
    await pages.get(name).close();
    pages.delete(name);
  },
  // Wait until so many elements match: 0 waits until none does.
  async count(page, selector, expected) {
    const script = ([css, count]) => document.querySelectorAll(css).length === count;
    await pages.get(page).waitForFunction(script, [selector, expected], { polling: 20 });
  },
  // Wait until an element is there; give its text.
  text: (page, selector) => at(page, selector).first().textContent(),
  texts: (page, selector) => at(page, selector).allTextContents(),
  // Wait until an element's text is exactly this.
  async shows(page, selector, expected) {
    const script = ([css, text]) => document.querySelector(css)?.textContent.trim() === text;
    await pages.get(page).waitForFunction(script, [selector, expected], { polling: 20 });
  },
  fill: (page, selector, value) => at(page, selector).fill(value),
  async click(page, selector) {
    await pages.get(page).bringToFront();
    await at(page, selector).click();
  },
  press: (page, key) => pages.get(page).keyboard.press(key),
  resize: (page, width, height) => pages.get(page).setViewportSize({ width, height }),
  prefer: (page, colorScheme) => pages.get(page).emulateMedia({ colorScheme, reducedMotion: 'reduce' }),
  // What axe-core finds that is serious or worse, a line each.
  async accessibility(page) {
    const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
    await pages.get(page).evaluate(await readFile(axe, 'utf8'));
    const { violations } = await pages.get(page).evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
    return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target}: ${failureSummary}`));
  },
  evaluate: (page, script) => pages.get(page).evaluate(script),
  async screenshot(page, file, width, height) {
    await pages.get(page).setViewportSize({ width, height });
    await pages.get(page).screenshot({ path: file });
  },
  // What all pages have asked for and been sent since the last reset.
  traffic: () => Promise.all(traffic.map(async (entry) => ({ ...entry, body: await entry.body }))),
  // What scripts failed with and what the browser blocked, since then.
  complaints: () => complaints,
  async reset() {
    await Promise.all([...profiles.values()].map((context) => context.close()));
    profiles.clear();
    pages.clear();
    traffic = [];
    complaints = [];
  },
  end: () => browser.close(),
});
