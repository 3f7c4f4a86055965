#!/usr/bin/env bash
# Runs the dashboard's browser test against the real program.
#
# The program is the test build: its dependencies were compiled for the other tests anyway.
set -euo pipefail
cd "$(dirname "$0")/.."

chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [ -z "$chromium" ]; then
  echo "skipped: browser test: no chromium found; install it, or name it by CHROMIUM"
  exit 0
fi
cargo build --locked --package flowtrack
FLOWTRACK_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/debug/flowtrack") CHROMIUM=$chromium npm --prefix web run e2e --silent
