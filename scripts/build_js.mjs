// Make the forms of js/resume.js: CommonJS, a plain script, and the minified script that the Python package serves.
// `node scripts/build_js.mjs` writes them, `node scripts/build_js.mjs --check` names those that are not up to date.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SERVED = 'src/soundpost/broadcasting/browser/static/vendor/soundpost-resume.min.js';

const read = (file) => readFileSync(join(ROOT, file), 'utf8');

async function minified(script, name) {
  const tests = createRequire(join(ROOT, 'tests/clients/package.json')); // the folder whose lock file pins the minifier
  const { minify } = await import(pathToFileURL(tests.resolve('rolldown/experimental')));
  const { code, errors } = await minify(name, script, { compress: { target: 'es2018' }, mangle: { toplevel: false } });
  if (errors.length) throw new Error(errors.map((error) => error.message).join('\n'));
  return code;
}

async function built() {
  const source = read('js/resume.js');
  const { name, version, license } = JSON.parse(read('js/package.json'));
  const plain = source.replace('export function resume(', 'function resume(');
  if (plain === source || /^(export|import) /m.test(plain)) {
    throw new Error('js/resume.js must export resume(), and nothing else');
  }
  const script =
    `(function () {\n'use strict';\n${plain}\n` +
    '(globalThis.Soundpost = globalThis.Soundpost || {}).resume = resume;\n})();\n';
  const banner = `/*! ${name} ${version} (${license}) */\n`;
  const small = `${banner}${(await minified(script, 'soundpost-resume.js')).trim()}\n`;
  return {
    'js/built/resume.cjs': `'use strict';\n\n${plain}\nexports.resume = resume;\n`,
    'js/built/resume.d.cts': read('js/resume.d.ts'),
    'js/built/soundpost-resume.js': `${banner}${script}`,
    'js/built/soundpost-resume.min.js': small,
    'js/LICENSE': read('LICENSE'),
    [SERVED]: small,
  };
}

function current(file) {
  try {
    return read(file);
  } catch {
    return undefined;
  }
}

const files = Object.entries(await built());
const stale = files.filter(([file, text]) => current(file) !== text);
if (process.argv.includes('--check')) {
  for (const [file] of stale) console.error(`${file} is not up to date: node scripts/build_js.mjs`);
  process.exit(stale.length ? 1 : 0);
}
for (const [file, text] of stale) writeFileSync(join(ROOT, file), text);
