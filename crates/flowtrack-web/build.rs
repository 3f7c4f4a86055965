//! Says in time that the web application has not been built.

// A build script talks to cargo by printing.
#![allow(clippy::disallowed_macros)]

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../web/dist");
    if !Path::new("../../web/dist/index.html").exists() {
        println!(
            "cargo::warning=web/dist is missing, so the program will hold no dashboard; run \
             `make web` first"
        );
    }
}
