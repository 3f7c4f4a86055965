#!/usr/bin/env bash
# Fuzzes all that reads traffic for so many seconds (60), on the stable toolchain: the coverage that
# the fuzzer goes by comes from flags of the compiler.
#
# Usage: tools/fuzz.sh [SECONDS]     JOBS=2 for several at once
# A finding is left in target/fuzz/findings; put it into fuzz/regressions once it is fixed.
# Fuzzing goes on from where the last run ended: what it found worth keeping is in target/fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/fuzz
mkdir -p "$work"/{seeds,corpus,findings}

FUZZ_SEEDS=$work/seeds cargo test --quiet --locked --package flowtrack-dissect --lib seed >/dev/null
FUZZ_SEEDS=$work/seeds cargo test --quiet --locked --package flowtrack-engine --test fuzzed seed >/dev/null

coverage="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module"
for option in level=4 inline-8bit-counters pc-table trace-compares; do
  coverage+=" -Cllvm-args=-sanitizer-coverage-$option"
done
host=$(rustc -vV | sed -n 's/^host: //p')
# With a target named, the flags are for it alone and not for what runs while building.
RUSTFLAGS=$coverage CARGO_TARGET_DIR=$work cargo build --quiet --release --locked \
  --manifest-path fuzz/Cargo.toml --target "$host"

exec "$work/$host/release/flowtrack-fuzz" "$work/corpus" "$work/seeds" fuzz/regressions \
  -artifact_prefix="$work/findings/" -max_total_time="$seconds" -max_len=8192 -timeout=10 \
  -rss_limit_mb=2048 -print_final_stats=1 -verbosity="${VERBOSITY:-0}" ${JOBS:+-fork=$JOBS}
