// JSON lines between a client process and the test that started it: commands come in on stdin, answers and reports
// go out on stdout. When stdin ends, so does the process: a test that dies leaves none behind.

import { createInterface } from 'node:readline';

export const options = JSON.parse(process.argv[2] ?? '{}');

// Something happened in the client, unasked.
export function report(what, fields = {}) {
  process.stdout.write(`${JSON.stringify({ report: what, ...fields })}\n`);
}

// Run commands, by name and with positional arguments, until stdin ends.
export async function serve(commands) {
  report('ready');
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, run, args } = JSON.parse(line);
    Promise.resolve()
      .then(() => commands[run](...args))
      .then((value) => report('answer', { id, value: value ?? null }))
      .catch((error) => report('answer', { id, error: describe(error) }));
  }
  await commands.end?.();
  process.exit(0);
}

function describe(error) {
  const { message, status = null, body = null } = error instanceof Error ? error : { message: String(error) };
  return { message, status, body };
}
