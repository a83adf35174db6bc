// Return where and why a text stops being JSON, for the playground and the dashboard.
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
  return { at, message: `Line ${lines.length}, column ${lines.pop().length + 1}: ${why}.` };
}
