import { defineConfig } from 'vite';

// Two files under fixed names, where Django looks for an app's static files.
export default defineConfig({
    base: '',
    publicDir: false,
    build: {
        outDir: 'chat/static/dist',
        rollupOptions: {
            input: 'src/main.js',
            output: { entryFileNames: 'main.js', assetFileNames: 'main[extname]' },
        },
    },
});
