//! The rules of ARCHITECTURE.md that the compiler does not keep by itself.

use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Height of each crate; a crate may use only what lies strictly below it.
///
/// Tens are the layers, ones the few steps inside a layer that are allowed. Crates of equal height
/// never know each other.
const HEIGHTS: &[(&str, u32)] = &[
    // words
    ("flowtrack-event", 0),
    ("flowtrack-wire", 1),
    // thinking
    ("flowtrack-flow", 10),
    ("flowtrack-dissect", 10),
    ("flowtrack-filter", 10),
    ("flowtrack-rules", 10),
    ("flowtrack-detect", 10),
    ("flowtrack-engine", 15),
    // edges
    ("flowtrack-capture", 20),
    ("flowtrack-host", 20),
    ("flowtrack-store", 20),
    ("flowtrack-output", 20),
    ("flowtrack-respond", 20),
    ("flowtrack-notify", 20),
    // faces
    ("flowtrack-web", 30),
    // program
    ("flowtrack", 40),
    // what tests are made of; nothing else may use it
    ("flowtrack-lab", 50),
    // tasks of the repository; nothing may use them
    ("xtask", 50),
];

/// Crates from outside that only these of ours may use, tests included.
const RESERVED: &[(&str, &[&str])] = &[
    ("axum", &["flowtrack-web"]),
    ("hyper", &["flowtrack-web"]),
    ("tokio", &["flowtrack-web", "flowtrack-output", "flowtrack-notify", "flowtrack"]),
    ("tokio-stream", &["flowtrack-web", "flowtrack-output"]),
    ("rusqlite", &["flowtrack-store"]),
    ("libc", &["flowtrack-capture", "flowtrack-host"]),
    ("libloading", &["flowtrack-capture"]),
    (
        "anyhow",
        &[
            "flowtrack-capture",
            "flowtrack-host",
            "flowtrack-store",
            "flowtrack-output",
            "flowtrack-web",
            "flowtrack",
            "xtask",
        ],
    ),
];

/// The one folder in which `unsafe` may stand.
const UNSAFE_HOME: &str = "crates/flowtrack-capture/src/sys";

#[test]
fn dependencies_point_down() {
    let mut wrong = Vec::new();
    for package in workspace_packages() {
        let Some(height) = height_of(&package.name) else {
            wrong.push(format!("{} has no layer; give it one in HEIGHTS", package.name));
            continue;
        };
        // Tests may reach up: a packet path is best tested with a capture file.
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.for_tests) {
            if height_of(&dependency.name).is_some_and(|below| below >= height) {
                wrong.push(format!("{} must not use {}", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_names_no_ghosts() {
    let real: BTreeSet<_> = workspace_packages().into_iter().map(|package| package.name).collect();
    let users = RESERVED.iter().flat_map(|(_, users)| users.iter().copied());
    for name in HEIGHTS.iter().map(|&(name, _)| name).chain(users) {
        assert!(real.contains(name), "{name} stands in a table, but is no crate");
    }
}

#[test]
fn heavy_crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for package in workspace_packages() {
        for dependency in &package.dependencies {
            let reserved = RESERVED.iter().find(|(name, _)| *name == dependency.name);
            if reserved.is_some_and(|(_, users)| !users.contains(&package.name.as_str())) {
                wrong.push(format!("{} must not use {}", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_new_crate_is_pure_by_default() {
    // Layers 0 and 1 obey the strict clippy.toml of the root, edges a smaller one of their own.
    for package in workspace_packages() {
        let own_rules = package.folder.join("clippy.toml").is_file();
        let at_an_edge = height_of(&package.name).is_some_and(|height| height >= 20);
        assert_eq!(own_rules, at_an_edge, "{}: clippy.toml of its own", package.name);
    }
}

#[test]
fn every_crate_obeys_the_lints() {
    for package in workspace_packages() {
        let manifest =
            fs::read_to_string(package.folder.join("Cargo.toml")).expect("it was just read");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{}: [lints]", package.name);
    }
}

#[test]
fn unsafe_has_one_home() {
    let mut wrong = Vec::new();
    let home = root().join(UNSAFE_HOME);
    for file in rust_files(&root().join("crates")) {
        let text = fs::read_to_string(&file).expect("sources are readable text");
        for (number, line) in text.lines().enumerate() {
            if is_dangerous(line) && !file.starts_with(&home) {
                wrong.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe outside {UNSAFE_HOME}:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_is_told_from_words_about_it() {
    assert!(is_dangerous("    unsafe { *pointer }"));
    assert!(is_dangerous("pub unsafe fn read() {}"));
    assert!(is_dangerous("unsafe impl Send for Ring {}"));
    assert!(!is_dangerous("// nothing unsafe { here }"));
    assert!(!is_dangerous("#![deny(unsafe_code)]"));
    assert!(!is_dangerous("let text = \"an unsafe word\";"));
}

struct Package {
    name: String,
    folder: PathBuf,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    for_tests: bool,
}

fn workspace_packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs, it started this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();

    let packages: Vec<_> = list(&metadata["packages"])
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            folder: PathBuf::from(text(&package["manifest_path"])).with_file_name(""),
            dependencies: list(&package["dependencies"])
                .iter()
                .map(|dependency| Dependency {
                    name: text(&dependency["name"]),
                    for_tests: dependency["kind"] == "dev",
                })
                .collect(),
        })
        .collect();
    assert!(packages.len() > 10, "only {} packages found", packages.len());
    packages
}

fn height_of(name: &str) -> Option<u32> {
    HEIGHTS.iter().find(|(known, _)| *known == name).map(|&(_, height)| height)
}

/// Whether a line of source opens something unsafe; comments and strings do not.
fn is_dangerous(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern", "unsafe("]
        .iter()
        .any(|form| code.contains(form) && !code.contains('"'))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of sources is readable") {
        let path = entry.expect("an entry of it too").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the crate stands two folders below the root").to_owned()
}
