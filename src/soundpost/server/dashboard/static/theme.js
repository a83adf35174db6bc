// Light or dark colours: what the reader chose, else what the system prefers. Loaded before the page is painted.
'use strict';

(() => {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const chosen = () => {
    try { return localStorage.getItem('soundpost-theme'); } catch (_) { return null; } // storage may be forbidden
  };
  const apply = (theme) => {
    if (theme) root.dataset.theme = theme;
    const dark = theme ? theme === 'dark' : system.matches;
    document.getElementById('theme')?.setAttribute('aria-pressed', String(dark));
    return dark;
  };
  apply(chosen());
  document.addEventListener('DOMContentLoaded', () => {
    apply(chosen());
    document.getElementById('theme').addEventListener('click', () => {
      const theme = apply(root.dataset.theme) ? 'light' : 'dark';
      apply(theme);
      try { localStorage.setItem('soundpost-theme', theme); } catch (_) { /* kept until the page is closed */ }
    });
    system.addEventListener('change', () => apply(chosen()));
  });
})();
