//! Licences and duplicate versions in the dependency graph, Rust and JavaScript alike.
//!
//! `deny.toml` is the one list of what is allowed, in cargo-deny's own format, so both say the same.
//! Development dependencies count too: whoever builds the tests runs them.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// Fails with one line for each package or exception that should not be there.
pub fn check(root: &Path) -> Result<()> {
    let rules = Rules::read(&root.join("deny.toml"))?;
    let packages = cargo_packages(root, &rules.graph.targets)?;
    let bundled = npm_packages(&root.join("web/package-lock.json"))?;

    let mut wrong = Vec::new();
    for package in packages.iter().chain(&bundled) {
        if let Err(reason) = rules.licences.allows(package) {
            wrong.push(format!("{package}: {reason}", package = package.id()));
        }
    }
    wrong.extend(rules.bans.unexplained_duplicates(&packages));
    if wrong.is_empty() {
        println!(
            "licences: {} crates and {} npm packages, all allowed by deny.toml; {} duplicates explained",
            packages.len(),
            bundled.len(),
            rules.bans.skip.len(),
        );
        return Ok(());
    }
    bail!("deny.toml does not allow:\n  {}", wrong.join("\n  "))
}

/// A package of either world.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
}

impl Package {
    fn id(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

#[derive(Deserialize)]
struct Rules {
    graph: Graph,
    #[serde(rename = "licenses")]
    licences: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

/// Versions that may stand beside another of their crate: `syn@2` means every 2.x.
#[derive(Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    id: String,
    reason: String,
}

impl Skip {
    fn covers(&self, package: &Package) -> bool {
        let id = package.id();
        id.strip_prefix(&self.id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl Rules {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not as expected", path.display()))
    }
}

impl Licences {
    fn allows(&self, package: &Package) -> Result<()> {
        let text = package.licence.as_deref().context("no licence given")?;
        let expression = spdx::Expression::parse_mode(text, spdx::ParseMode::LAX)
            .map_err(|error| anyhow::anyhow!("licence `{text}`: {}", error.reason))?;
        let allowed = expression.evaluate(|wanted| self.allow.contains(&wanted.to_string()));
        ensure!(allowed, "licence `{text}` is not allowed");
        Ok(())
    }
}

impl Bans {
    /// Crates in several versions of which all but one are not explained, and explanations of
    /// versions that are no longer there.
    fn unexplained_duplicates(&self, packages: &BTreeSet<Package>) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut versions: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
        for package in packages {
            versions.entry(&package.name).or_default().push(package);
        }
        for (name, found) in &versions {
            let open: Vec<_> = found
                .iter()
                .filter(|package| !self.skip.iter().any(|skip| skip.covers(package)))
                .map(|package| package.version.as_str())
                .collect();
            if open.len() > 1 {
                wrong.push(format!("{name}: versions {} side by side", open.join(" and ")));
            }
        }
        for skip in &self.skip {
            let needed = packages
                .iter()
                .any(|package| skip.covers(package) && versions[package.name.as_str()].len() > 1);
            if !needed {
                wrong.push(format!("{}: no duplicate any more; take it off bans.skip", skip.id));
            }
            if skip.reason.trim().is_empty() {
                wrong.push(format!("{}: bans.skip gives no reason", skip.id));
            }
        }
        wrong
    }
}

/// Crates from outside the workspace, on any of the targets.
fn cargo_packages(root: &Path, targets: &[String]) -> Result<BTreeSet<Package>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<CargoPackage>,
        resolve: Resolve,
    }
    #[derive(Deserialize)]
    struct CargoPackage {
        id: String,
        name: String,
        version: String,
        license: Option<String>,
        source: Option<String>,
    }
    #[derive(Deserialize)]
    struct Resolve {
        nodes: Vec<Node>,
    }
    #[derive(Deserialize)]
    struct Node {
        id: String,
    }

    let mut found = BTreeSet::new();
    for target in targets {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target])
            .current_dir(root)
            .output()
            .context("cannot run cargo metadata")?;
        ensure!(
            output.status.success(),
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).context("cargo metadata is not as expected")?;
        let used: BTreeSet<_> = metadata.resolve.nodes.iter().map(|node| &node.id).collect();
        for package in &metadata.packages {
            if package.source.is_some() && used.contains(&package.id) {
                found.insert(Package {
                    name: package.name.clone(),
                    version: package.version.clone(),
                    licence: package.license.clone(),
                });
            }
        }
    }
    Ok(found)
}

/// What the dashboard takes along into the binary; its build tools stay outside.
fn npm_packages(lock: &Path) -> Result<BTreeSet<Package>> {
    #[derive(Deserialize)]
    struct Lock {
        packages: BTreeMap<String, NpmPackage>,
    }
    #[derive(Deserialize)]
    struct NpmPackage {
        version: Option<String>,
        license: Option<String>,
        #[serde(default)]
        dev: bool,
    }

    let text =
        std::fs::read_to_string(lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let lock: Lock = serde_json::from_str(&text).context("package-lock.json is not as expected")?;
    Ok(lock
        .packages
        .into_iter()
        .filter(|(path, package)| !path.is_empty() && !package.dev)
        .map(|(path, package)| Package {
            name: path.rsplit("node_modules/").next().unwrap_or(&path).to_owned(),
            version: package.version.unwrap_or_default(),
            licence: package.license,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, licence: &str) -> Package {
        let licence = (!licence.is_empty()).then(|| licence.to_owned());
        Package { name: name.to_owned(), version: version.to_owned(), licence }
    }

    fn skip(id: &str, reason: &str) -> Skip {
        Skip { id: id.to_owned(), reason: reason.to_owned() }
    }

    #[test]
    fn licence_expressions_are_weighed() {
        let licences = Licences {
            allow: vec!["MIT".into(), "Zlib".into(), "Apache-2.0 WITH LLVM-exception".into()],
        };
        for good in ["MIT", "GPL-3.0-only OR MIT", "MIT/Apache-2.0", "(GPL-2.0 OR MIT) AND Zlib"] {
            assert!(licences.allows(&package("a", "1.0.0", good)).is_ok(), "{good}");
        }
        assert!(licences.allows(&package("a", "1.0.0", "Apache-2.0 WITH LLVM-exception")).is_ok());
        for bad in ["GPL-3.0-only", "MIT AND Apache-2.0", "Apache-2.0", "My own words", ""] {
            assert!(licences.allows(&package("a", "1.0.0", bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn duplicates_need_a_reason_and_reasons_need_a_duplicate() {
        let packages: BTreeSet<_> = [("a", "1.0.0"), ("a", "2.0.0"), ("b", "1.0.0")]
            .map(|(n, v)| package(n, v, "MIT"))
            .into();
        let wrong = |skip| Bans { skip }.unexplained_duplicates(&packages);

        assert_eq!(wrong(vec![]), ["a: versions 1.0.0 and 2.0.0 side by side"]);
        assert!(wrong(vec![skip("a@1.0.0", "b wants it")]).is_empty());
        assert_eq!(
            wrong(vec![skip("a@1.0.0", "b wants it"), skip("b@1.0.0", "once")]),
            ["b@1.0.0: no duplicate any more; take it off bans.skip"]
        );
        assert!(wrong(vec![skip("a@2", "b wants it")]).is_empty());
        assert_eq!(wrong(vec![skip("a@1.0.0", " ")]), ["a@1.0.0: bans.skip gives no reason"]);
    }
}
