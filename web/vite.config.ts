import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // The polyfill is an inline script, which the content security policy forbids.
    modulePreload: { polyfill: false },
    // Every asset is a file of its own with a hash in its name, so that it can be cached for ever.
    assetsInlineLimit: 0,
  },
  server: {
    // `npm run dev` beside a running FlowTrack: its API, our sources. The server checks Origin
    // and Host, so both are made to look like its own.
    proxy: {
      '/api': {
        target: 'http://127.0.0.1:8080',
        changeOrigin: true,
        headers: { origin: 'http://127.0.0.1:8080' },
      },
      '/login': { target: 'http://127.0.0.1:8080', changeOrigin: true },
    },
  },
  test: { include: ['src/**/*.test.ts'] },
});
