//! The page docs/known-failures.md and the stories agree.

use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use tests::harness::repository;

/// The names of the stories, each with its module: the functions behind a `#[test]` of some kind.
fn told() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for file in std::fs::read_dir(repository().join("tests/tests/known_failures"))? {
        let path = file?.path();
        let text = std::fs::read_to_string(&path)?;
        let module = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut lines = text.lines();
        while lines.any(|line| line.starts_with("#[test") || line.starts_with("#[tokio::test")) {
            let function = lines.next().unwrap_or_default();
            let function = function.trim_start_matches("async ").trim_start_matches("fn ");
            let name = function.split('(').next().unwrap_or_default();
            names.insert(format!("{module}::{name}"));
        }
    }
    Ok(names)
}

#[test]
fn the_page_lists_every_story_and_no_other() -> Result<()> {
    let page = std::fs::read_to_string(repository().join("docs/known-failures.md"))?;
    let quoted = page.split('`').skip(1).step_by(2);
    let listed: BTreeSet<String> = quoted.filter(|text| text.contains("::")).map(str::to_owned).collect();
    let mut told = told()?;
    ensure!(told.remove("listed::the_page_lists_every_story_and_no_other"));
    let missing: Vec<&String> = told.difference(&listed).collect();
    let unknown: Vec<&String> = listed.difference(&told).collect();
    ensure!(
        missing.is_empty() && unknown.is_empty(),
        "not listed: {missing:?}\nno story: {unknown:?}"
    );
    Ok(())
}
