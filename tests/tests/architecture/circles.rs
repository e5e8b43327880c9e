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

/// A folder is whatever stands directly below `src`; a file there is a folder of its own.
#[test]
fn no_folders_of_the_worker_need_each_other_in_a_circle() {
    let folder = |file: &str| {
        let below = file.trim_start_matches("worker/src/");
        let name = below.split('/').next().unwrap_or(below);
        name.trim_end_matches(".rs").to_owned()
    };
    let folders = grouped(&needs_of("worker/src/lib.rs"), folder);
    let found = circles(&folders);
    assert!(
        found.is_empty(),
        "{} circles\n\n{}\n\nlayers, top first:\n{}",
        found.len(),
        found.join("\n\n"),
        layers(&folders)
    );
}
