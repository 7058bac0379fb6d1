//! Imports run one way: model ← ports ← chunking ← services ← jobs; adapters see model and ports alone.

use std::path::{Path, PathBuf};

/// A layer, and what of the crate it may name.
const LAYERS: [(&str, &[&str]); 6] = [
    ("model", &["model"]),
    ("ports", &["model", "ports"]),
    ("chunking", &["model", "chunking"]),
    ("services", &["model", "ports", "chunking", "services", "Drive"]),
    ("jobs", &["model", "ports", "services", "jobs", "Drive"]),
    ("adapters", &["model", "ports", "adapters"]),
];

pub(crate) fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// Returns what a line names right below the crate: `crate::model::Error` names `model`.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default()
    })
}

#[test]
fn no_arrow_runs_the_wrong_way() {
    let mut looked_at = 0;
    for (layer, allowed) in LAYERS {
        for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(layer)) {
            let text = std::fs::read_to_string(&path).unwrap();
            // What tests below the code use is their own business.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for name in named(line) {
                    looked_at += 1;
                    assert!(
                        allowed.contains(&name),
                        "{} must not name crate::{name}: {line}",
                        path.display()
                    );
                }
            }
        }
    }
    assert!(looked_at > 100, "only {looked_at} names were found: does this test still read what it should?");
}

#[test]
fn only_adapters_know_databases_and_stores() {
    for (layer, _) in LAYERS.iter().filter(|(layer, _)| *layer != "adapters") {
        for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(layer)) {
            let text = std::fs::read_to_string(&path).unwrap();
            for foreign in ["sqlx::", "object_store::", "redis::", "jsonwebtoken::"] {
                assert!(!text.contains(foreign), "{} names {foreign}", path.display());
            }
        }
    }
}

/// A crate, and which others of the workspace it may need. Its tests may need more.
const CRATES: [(&str, &[&str]); 5] = [
    ("scaidrive-core", &[]),
    ("scaidrive-client", &[]),
    ("scaidrive-http", &["scaidrive-core"]),
    ("scaidrive-cli", &["scaidrive-client", "scaidrive-core"]),
    ("scaidrive-embed", &["scaidrive-core"]),
];

/// Returns the crates of the workspace that a manifest needs, tests apart.
fn needed(manifest: &str) -> impl Iterator<Item = &str> {
    let sections = manifest.split("\n[").filter(|section| {
        let head = section.split(']').next().unwrap_or_default();
        head.ends_with("dependencies") && !head.ends_with("dev-dependencies")
    });
    let names = sections.flat_map(str::lines).filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| name.starts_with("scaidrive-"))
}

#[test]
fn consumers_know_the_core_and_not_each_other_and_the_client_knows_the_contract_alone() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (name, allowed) in CRATES {
        let manifest = std::fs::read_to_string(workspace.join(name).join("Cargo.toml")).unwrap();
        let needed: Vec<&str> = needed(&manifest).collect();
        assert_eq!(needed, allowed, "{name}");
    }
}
