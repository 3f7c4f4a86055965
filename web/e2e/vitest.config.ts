import { defineConfig } from 'vitest/config';

// The browser drives a real FlowTrack, so the tests share it and run one after the other.
export default defineConfig({
  test: {
    include: ['e2e/**/*.e2e.ts'],
    fileParallelism: false,
    sequence: { concurrent: false },
    // A machine that is busy has a minute for each step.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
