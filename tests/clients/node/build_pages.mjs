// Build resume_page/react.jsx and vue.js as an application would: node build_pages.mjs '{"folder": "…"}'.

import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { build } from 'vite';
import { options } from './lines.mjs';

const file = (path) => fileURLToPath(new URL(path, import.meta.url));

await build({
  root: file('../resume_page'),
  base: '/built/',
  configFile: false,
  publicDir: false,
  logLevel: 'warn',
  mode: 'development', // React's strict mode does something there only
  define: { 'process.env.NODE_ENV': '"development"' },
  plugins: [react()],
  resolve: { alias: { 'soundpost-resume': file('../../../js/resume.js') } },
  build: {
    outDir: options.folder,
    emptyOutDir: true,
    rollupOptions: {
      input: { react: file('../resume_page/react.jsx'), vue: file('../resume_page/vue.js') },
      output: { entryFileNames: '[name].js', chunkFileNames: '[name].js' },
    },
  },
});
