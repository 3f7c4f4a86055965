//! Hands what a fuzzer makes up to [`target::run`].

#![no_main]

mod mark;
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
