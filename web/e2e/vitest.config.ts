import { defineConfig } from 'vitest/config';

// The browser drives a real FlowTrack, so the tests share it and run one after the other.
export default defineConfig({
  test: {
    include: ['e2e/**/*.e2e.ts'],
    fileParallelism: false,
    sequence: { concurrent: false },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
