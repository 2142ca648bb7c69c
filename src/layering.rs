//! The architecture as a test: who may import whom, and which words no file may carry.
//! A new arrow here is a design decision: change `ARCHITECTURE.md` in the same commit.

use std::path::{Path, PathBuf};

/// Module, and the modules of this crate that its files may name.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("wire", &["model"]),
    ("machine", &["model", "wire::record", "wire::group_record", "wire::Str"]),
    ("storage", &["model", "wire::record"]),
    ("coordination", &["model", "storage::disk"]),
    ("net", &["model", "wire"]),
    ("config", &["model"]),
    ("telemetry", &["model"]),
    ("client", &["model", "wire", "net", "config", "telemetry"]),
    ("broker", &["model", "wire", "machine", "storage", "coordination", "net", "config", "telemetry"]),
    ("sim", &["model", "wire", "machine", "storage", "coordination", "net", "config", "telemetry", "broker", "client"]),
    ("cli", &["client", "broker", "storage", "config", "coordination", "model", "wire", "telemetry", "net", "sim"]),
];

/// Modules that only one place may know, whatever else it is allowed.
const ONLY_IN: &[(&str, &str)] = &[
    ("actix", "broker"),
    ("actix_rt", "broker"),
    ("zookeeper_client", "coordination"),
    ("bincode", "coordination"),
    ("ratatui", "cli"),
];

#[test]
fn every_import_follows_the_matrix() {
    let mut offences = Vec::new();
    for (module, allowed) in MAY_USE {
        for file in sources(&source_root().join(module)) {
            let text = read(&file);
            offences.extend(
                imports_outside(module, allowed, &text)
                    .map(|used| format!("{}: {module} must not use {used}", file.display())),
            );
            offences.extend(
                crates_outside(module, &text)
                    .map(|used| format!("{}: only {} may use the crate {}", file.display(), used.1, used.0)),
            );
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn the_matrix_itself_catches_a_wrong_arrow() {
    let wrong = imports_outside("wire", &["model"], "use crate::machine::Group;").collect::<Vec<_>>();
    assert_eq!(wrong, ["machine::Group"]);
    let right = imports_outside("machine", &["wire::record"], "use crate::wire::record::Batch;").count();
    assert_eq!(right, 0);
    let half = imports_outside("machine", &["wire::record"], "use crate::wire::frame::Frame;").count();
    assert_eq!(half, 1);
}

fn imports_outside<'t>(module: &'t str, allowed: &'t [&'t str], text: &'t str) -> impl Iterator<Item = String> + 't {
    production_part(text)
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|path| path.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect::<String>())
        .map(|path| path.trim_end_matches(':').to_owned())
        .filter(move |path| {
            let within = |root: &str| path == root || path.starts_with(&format!("{root}::"));
            !path.is_empty() && !within(module) && !allowed.iter().any(|root| within(root))
        })
}

fn crates_outside<'t>(module: &'t str, text: &'t str) -> impl Iterator<Item = (&'static str, &'static str)> + 't {
    ONLY_IN.iter().copied().filter(move |(name, home)| {
        module != *home
            && production_part(text).lines().any(|line| {
                let line = line.trim_start();
                !line.starts_with("//") && (line.contains(&format!("{name}::")))
            })
    })
}

/// A file without its tests, which stand last and may reach wider.
fn production_part(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[expect(clippy::disallowed_methods, reason = "this test reads the sources themselves")]
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("every module of the matrix is a folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[expect(clippy::disallowed_methods, reason = "this test reads the sources themselves")]
fn read(file: &Path) -> String {
    std::fs::read_to_string(file).expect("a readable source file")
}
