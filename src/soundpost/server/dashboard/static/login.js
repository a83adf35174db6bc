// The login: asks for the password, then shows the page that the address names.

import { logIn } from './api.js';
import { el } from './elements.js';

export const title = 'Log in';

export function open(view, { enter }) {
  const password = el('input', {
    id: 'password', type: 'password', name: 'password', autocomplete: 'current-password', required: true, 'aria-describedby': 'login-result',
  });
  const button = el('button', { class: 'button primary large' }, 'Log in');
  const result = el('p', { class: 'result', id: 'login-result', role: 'alert' });
  const form = el('form', { class: 'card login' },
    el('h1', { tabindex: '-1' }, 'Log in'),
    el('p', { class: 'hint' }, 'The password of this server’s dashboard. The server’s operator sets it with the command ',
      el('code', null, 'soundpost dashboard password'), '.'),
    el('div', { class: 'field' }, el('label', { for: 'password' }, 'Password'), password), result, button);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    button.disabled = true;
    result.textContent = '';
    try {
      await logIn(password.value);
      await enter();
    } catch (error) {
      result.textContent = error.message;
      result.dataset.tone = 'bad';
      password.select();
    } finally {
      button.disabled = false;
    }
  });
  view.append(form);
}
