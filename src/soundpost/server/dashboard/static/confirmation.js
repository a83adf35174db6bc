// A question before something that cannot be undone.

import { el } from './elements.js';

// Return whether the reader agreed. The dialog keeps the focus, and gives it back.
export function confirmed({ title, text, action }) {
  return new Promise((resolve) => {
    const dialog = el('dialog', { 'aria-labelledby': 'question', 'aria-describedby': 'consequence' },
      el('form', { method: 'dialog' },
        el('h2', { id: 'question' }, title), el('p', { id: 'consequence' }, text),
        el('div', { class: 'actions' },
          el('button', { class: 'button', value: 'no', autofocus: true }, 'Cancel'),
          el('button', { class: 'button danger', value: 'yes' }, action))));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
