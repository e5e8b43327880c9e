//! The invariants of ARCHITECTURE.md that the compiler does not keep: read from the tree.

mod circles;
mod generated_docs;
mod graph;
mod links;
mod mentions;
mod modules;
mod modules_tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::harness::repository;

/// Our crates' folders.
const CRATES: [&str; 5] = ["shared", "ingest", "worker", "deploy/provision", "tests"];
const LINES_MAX: usize = 400;
/// The files of provision that only compute: the catalog as objects, and what differs.
const PURE_FILES_OF_PROVISION: [&str; 12] = [
    "compare",
    "desired",
    "diff",
    "kind",
    "notes",
    "plan",
    "promotion",
    "refused",
    "retire",
    "show",
    "value",
    "warnings",
];

/// A Rust file: its path below the repository, and its text without comments.
struct Source {
    path: String,
    lines: usize,
    code: String,
}

fn sources(below: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&repository().join(below), &mut paths);
    assert!(!paths.is_empty(), "no Rust files in {below}");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a source can be read");
        let code = |line: &str| line.split_once("//").map_or(line.len(), |(code, _)| code.len());
        let code = text
            .lines()
            .map(|line| &line[..code(line)])
            .collect::<Vec<_>>()
            .join("\n");
        let path = path
            .strip_prefix(repository())
            .expect("below the repository")
            .display()
            .to_string();
        Source {
            path,
            lines: text.lines().count(),
            code,
        }
    };
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Those of all our files, but for this one, that hold one of `words`.
fn holding(words: &[&str]) -> BTreeSet<String> {
    let all = CRATES.iter().flat_map(|folder| sources(folder));
    let all = all.filter(|source| !source.path.starts_with("tests/tests/architecture/"));
    let holding = all.filter(|source| words.iter().any(|word| source.code.contains(word)));
    holding.map(|source| source.path).collect()
}

/// What `package` is built from, but for tests.
fn dependencies(package: &str) -> BTreeSet<String> {
    let arguments = [
        "tree",
        "--offline",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--package",
        package,
    ];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(repository())
        .output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_domain_knows_no_io_no_clock_no_async_and_no_json_of_stripes() {
    let domain = sources("worker/src/domain").into_iter();
    // Its tests may write values down to compare them.
    for Source { path, code, .. } in domain.filter(|source| !source.path.ends_with("_tests.rs")) {
        let foreign = [
            "sqlx",
            "tokio",
            "lapin",
            "serde_json",
            "shared::",
            "tracing",
            "axum",
            "async ",
            ".await",
            "std::time",
            "std::fs",
            "std::net",
            "std::env",
            "now_utc",
            "SystemTime",
        ];
        for word in foreign {
            assert!(!code.contains(word), "{path} has `{word}`");
        }
    }
}

#[test]
fn reading_a_message_knows_no_io_and_the_store_knows_no_broker() {
    for (folder, foreign) in [
        ("worker/src/read", &["sqlx", "lapin", "tokio", "async ", ".await"][..]),
        ("worker/src/store", &["lapin"]),
    ] {
        for Source { path, code, .. } in sources(folder) {
            for word in foreign {
                assert!(!code.contains(word), "{path} has `{word}`");
            }
        }
    }
}

#[test]
fn ingest_and_worker_do_not_know_each_other_and_only_the_worker_links_a_database() {
    let ingest = dependencies("ingest");
    assert!(ingest.contains("lapin") && ingest.contains("axum"), "{ingest:?}");
    for foreign in ["worker", "sqlx", "sqlx-core", "sqlx-postgres"] {
        assert!(!ingest.contains(foreign), "ingest links {foreign}");
    }
    let worker = dependencies("worker");
    assert!(
        worker.contains("sqlx-postgres") && !worker.contains("ingest"),
        "{worker:?}"
    );
    let shared = dependencies("shared");
    for foreign in ["worker", "ingest", "sqlx"] {
        assert!(!shared.contains(foreign), "shared links {foreign}");
    }
    let provision = dependencies("provision");
    assert!(provision.contains("shared"), "{provision:?}");
    for foreign in ["worker", "ingest", "sqlx", "sqlx-core", "maud"] {
        assert!(!provision.contains(foreign), "provision links {foreign}");
    }
}

#[test]
fn provision_decides_without_asking_and_asks_through_the_one_client() {
    let all = sources("deploy/provision/src");
    for pure in PURE_FILES_OF_PROVISION {
        let path = format!("deploy/provision/src/{pure}.rs");
        let Some(source) = all.iter().find(|source| source.path == path) else {
            panic!("{path} is not there");
        };
        for word in ["async ", ".await", "Api", "std::fs", "now_utc", "SystemTime", "tokio"] {
            assert!(!source.code.contains(word), "{path} has `{word}`");
        }
    }
    for Source { path, code, .. } in sources("deploy/provision") {
        for word in ["hyper", "reqwest", "sqlx", "lapin"] {
            assert!(!code.contains(word), "{path} has `{word}`");
        }
    }
}

#[test]
fn the_backoff_crate_is_named_in_one_module() {
    let named = holding(&["use backoff", "backoff::"]);
    assert_eq!(named, BTreeSet::from(["shared/src/reconnect.rs".to_owned()]));
}

#[test]
fn only_the_client_of_stripes_api_names_async_stripe() {
    for path in holding(&[
        "use stripe::",
        "::stripe::Client",
        "stripe_client_core",
        "stripe_shared",
    ]) {
        assert!(path.starts_with("shared/stripe/src/"), "{path} names async-stripe");
    }
}

#[test]
fn sql_is_in_the_store_alone() {
    let words = ["query!", "query_scalar!", "query_as!", "sqlx::query", "raw_sql"];
    for path in holding(&words) {
        assert!(
            path.starts_with("worker/src/store/") || path.starts_with("tests/"),
            "{path} has SQL"
        );
    }
}

#[test]
fn transactions_begin_in_one_place_and_under_no_timeout() {
    // The catalog's tiers are written by themselves; what only reads, reads at one moment.
    let allowed = [
        "worker/src/apply/transaction.rs",
        "worker/src/store/catalog.rs",
        "worker/src/store/snapshot.rs",
    ];
    for path in allowed {
        assert!(repository().join(path).exists(), "{path} is not there");
    }
    for path in holding(&[".begin()", ".begin_with("]) {
        assert!(
            allowed.contains(&path.as_str()) || path.starts_with("tests/"),
            "{path} begins a transaction"
        );
    }
    for Source { path, code, .. } in sources("worker/src") {
        if allowed.contains(&path.as_str()) {
            for word in ["timeout", "select!"] {
                assert!(!code.contains(word), "{path} has `{word}`");
            }
        }
    }
}

#[test]
fn no_file_is_too_long_to_be_read_at_once() {
    for Source { path, lines, .. } in CRATES.iter().flat_map(|folder| sources(folder)) {
        assert!(lines <= LINES_MAX, "{path} has {lines} lines, more than {LINES_MAX}");
    }
}
