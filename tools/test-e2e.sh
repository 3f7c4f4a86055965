#!/usr/bin/env bash
# Runs the dashboard's browser test against the real program, which replays the demo capture.
#
# The program is the test build: its dependencies were compiled for the other tests anyway.
# FLOWTRACK_BIN names another one, FLOWTRACK_CHROMIUM the browser. Screenshots go to target/e2e.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export FLOWTRACK_CHROMIUM=${FLOWTRACK_CHROMIUM:-$(command -v chromium || command -v chromium-browser || true)}
export FLOWTRACK_SHOTS=$target/e2e
if [ -z "$FLOWTRACK_CHROMIUM" ]; then
  echo "skipped: browser test: no chromium found; install it, or name it by FLOWTRACK_CHROMIUM"
  exit 0
fi

if [ -z "${FLOWTRACK_BIN:-}" ]; then
  cargo build --locked --package flowtrack
  FLOWTRACK_BIN=$target/debug/flowtrack
fi

scratch=$(mktemp -d)
"$FLOWTRACK_BIN" run -r demo/office.pcap.zst --pace 10x --loop --record \
  --listen 127.0.0.1:0 --data-dir "$scratch/data" >"$scratch/log" 2>&1 &
program=$!
trap 'kill "$program" 2>/dev/null && wait "$program" || true; rm -rf "$scratch"' EXIT

for _ in $(seq 600); do
  FLOWTRACK_URL=$(grep -oE 'http://[^ ]+/login[^ ]+' "$scratch/log" || true)
  [ -z "$FLOWTRACK_URL" ] || break
  kill -0 "$program" 2>/dev/null || { cat "$scratch/log" >&2; exit 1; }
  sleep 0.1
done
[ -n "$FLOWTRACK_URL" ] || { echo "the program printed no link within a minute" >&2; cat "$scratch/log" >&2; exit 1; }
export FLOWTRACK_URL
npm --prefix web run e2e --silent || { echo "what the program said:" >&2; cat "$scratch/log" >&2; exit 1; }
