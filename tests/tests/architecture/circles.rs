//! Imports run one way: between the files of each crate, and between the folders of the worker.

use crate::graph::{circles, grouped, layers};
use crate::modules::{Crate, Needs};
use tests::harness::repository;

/// The roots of all libraries of the workspace.
fn roots() -> Vec<String> {
    let manifest = std::fs::read_to_string(repository().join("Cargo.toml")).expect("a workspace has a manifest");
    let (_, members) = manifest.split_once("\nmembers = [").expect("it lists its members");
    let (members, _) = members.split_once(']').expect("the list ends");
    let names = members.split('"').skip(1).step_by(2);
    names.map(|name| format!("{name}/src/lib.rs")).collect()
}

fn needs_of(root: &str) -> Needs {
    Crate::read(root, &|path| std::fs::read_to_string(repository().join(path)).ok()).needs()
}

#[test]
fn no_files_of_a_crate_need_each_other_in_a_circle() {
    let mut found = Vec::new();
    let roots = roots();
    assert!(roots.len() >= 5, "{roots:?}");
    for root in &roots {
        let needs = needs_of(root);
        assert!(
            needs.values().any(|others| !others.is_empty()),
            "{root}: no file needs another"
        );
        found.extend(circles(&needs));
    }
    assert!(found.is_empty(), "{} circles\n\n{}", found.len(), found.join("\n\n"));
}

/// The folders of the worker. A file directly below `src` is a folder of its own.
fn worker_folders() -> Needs {
    let folder = |file: &str| {
        let below = file.trim_start_matches("worker/src/");
        let name = below.split('/').next().unwrap_or(below);
        name.trim_end_matches(".rs").to_owned()
    };
    grouped(&needs_of("worker/src/lib.rs"), folder)
}

#[test]
fn no_folders_of_the_worker_need_each_other_in_a_circle() {
    let folders = worker_folders();
    let found = circles(&folders);
    assert!(
        found.is_empty(),
        "{} circles\n\n{}\n\nlayers, top first:\n{}",
        found.len(),
        found.join("\n\n"),
        layers(&folders)
    );
}

/// `consume → apply → {read, store} → domain`, as ARCHITECTURE.md draws it.
#[test]
fn the_folders_on_the_way_of_an_event_need_only_those_below_them() {
    let folders = worker_folders();
    for (folder, allowed) in [
        ("domain", &[][..]),
        ("failure", &[]),
        ("read", &["domain", "failure"]),
        ("store", &["domain"]),
        ("apply", &["domain", "failure", "read", "store"]),
        (
            "consume",
            &["apply", "domain", "failure", "metrics", "read", "recent", "store"],
        ),
    ] {
        let Some(needed) = folders.get(folder) else {
            panic!("the worker has no {folder}")
        };
        for (other, names) in needed {
            assert!(
                allowed.contains(&other.as_str()),
                "{folder} takes {names:?} from {other}; it may take from {allowed:?} alone"
            );
        }
    }
}
