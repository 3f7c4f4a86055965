#!/usr/bin/env bash
# Runs every Rust test, documentation examples included, and lists at the end which were flaky, and
# what was skipped and why.
set -uo pipefail
cd "$(dirname "$0")/.."

log=${CARGO_TARGET_DIR:-target}/test-rust.log
mkdir -p "$(dirname "$log")"

if command -v cargo-nextest >/dev/null; then
  run=(cargo nextest run --workspace --locked --no-tests=pass --status-level slow --success-output immediate)
else
  run=(cargo test --workspace --locked --lib --bins --tests --no-fail-fast -- --show-output)
fi
failed=0
"${run[@]}" 2>&1 | tee "$log" || failed=1
cargo test --workspace --locked --doc --quiet 2>&1 | tee -a "$log" || failed=1

if grep -qE '^ +FLAKY ' "$log"; then
  echo "flaky tests, which passed only when they were asked again:"
  grep -E '^ +FLAKY ' "$log" | sort -u
fi
if grep -q 'skipped: ' "$log"; then
  echo "skipped tests:"
  grep -oE 'skipped: .*' "$log" | sort | uniq -c | sed -E 's/^ +([0-9]+) skipped: /  \1 x /'
fi
exit "$failed"
