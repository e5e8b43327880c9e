//! Links in the documents lead somewhere: to a file that is there, to a heading that it has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tests::harness::repository;

const DOCUMENTS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

#[test]
fn every_link_in_the_documents_leads_to_a_file_and_a_heading_that_are_there() {
    let mut documents: Vec<PathBuf> = DOCUMENTS.iter().map(|name| repository().join(name)).collect();
    let pages = fs::read_dir(repository().join("docs")).expect("docs can be read");
    let pages = pages.map(|entry| entry.expect("an entry can be read").path());
    documents.extend(pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    let mut broken = Vec::new();
    for document in &documents {
        let Ok(text) = fs::read_to_string(document) else {
            broken.push(format!("no {}", document.display()));
            continue;
        };
        for link in links(&text) {
            if let Err(reason) = check(document, &link) {
                let document = document.strip_prefix(repository()).unwrap_or(document).display();
                broken.push(format!("{document}: {link}: {reason}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Checks a link that stands in the file `document`.
fn check(document: &Path, link: &str) -> Result<(), String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (link, None),
    };
    let folder = document.parent().expect("a file lies in a folder");
    let target = if path.is_empty() {
        document.to_owned()
    } else {
        folder.join(path)
    };
    if !target.exists() {
        return Err("no such file".to_owned());
    }
    let Some(anchor) = anchor else {
        return Ok(());
    };
    let text = fs::read_to_string(&target).map_err(|error| error.to_string())?;
    if anchors(&text).contains(anchor) {
        Ok(())
    } else {
        Err("no such heading".to_owned())
    }
}

/// The lines of a document that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fence: Option<&str> = None;
    text.lines().filter(move |line| {
        let line = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| line.starts_with(mark));
        match (fence, mark) {
            (None, Some(opened)) => fence = Some(opened),
            (Some(opened), Some(mark)) if opened == mark => fence = None,
            (open, _) => return open.is_none(),
        }
        false
    })
}

/// The targets of `[text](target)`, `![text](target)` and `[name]: target`.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        let line = without_code(line);
        if let Some((name, target)) = line.split_once("]: ")
            && name.starts_with('[')
        {
            links.extend(target.split_whitespace().next().map(str::to_owned));
        }
        for behind in line.split("](").skip(1) {
            let (target, _) = behind.split_once(')').unwrap_or((behind, ""));
            // A title may follow: [text](target "title").
            links.extend(target.split_whitespace().next().map(str::to_owned));
        }
    }
    links
}

/// A line without what stands between backticks.
fn without_code(line: &str) -> String {
    let parts = line.split('`').enumerate();
    parts
        .filter(|(place, _)| place % 2 == 0)
        .map(|(_, part)| part)
        .collect()
}

/// The anchors of a document's headings, as GitHub makes them: small letters, hyphens for spaces, other
/// marks left out, and a number behind a heading that comes again.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in prose(text) {
        let title = line.trim_start_matches('#');
        if !line.starts_with('#') || !title.starts_with(' ') {
            continue;
        }
        let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let anchor: String = title.trim().to_lowercase().chars().filter(|c| kept(*c)).collect();
        let anchor = anchor.replace(' ', "-");
        let mut numbered = anchor.clone();
        let mut number = 0;
        while !anchors.insert(numbered) {
            number += 1;
            numbered = format!("{anchor}-{number}");
        }
    }
    anchors
}

#[test]
fn links_are_found_in_prose_and_not_in_code() {
    let text =
        "[a](one.md), ![b](two.png \"title\") and `[c](three.md)`\n```sh\n[d](four.md)\n```\n[e]: five.md#part\n";
    assert_eq!(links(text), ["one.md", "two.png", "five.md#part"]);
}

#[test]
fn a_heading_has_the_anchor_that_github_gives_it() {
    let text =
        "# How it works\n## `make test`, twice\n```\n# no heading\n```\n### Over-limit: why?\n## Do\n## Do\n#no\n";
    let expected = ["do", "do-1", "how-it-works", "make-test-twice", "over-limit-why"];
    assert_eq!(anchors(text), BTreeSet::from(expected.map(str::to_owned)));
}

#[test]
fn a_link_without_a_file_or_a_heading_is_broken() {
    let document = repository().join("README.md");
    for (link, expected) in [
        ("docs/runbook.md", Ok(())),
        ("https://example.com/nothing", Ok(())),
        ("docs/nothing.md", Err("no such file".to_owned())),
        ("docs/runbook.md#no-such-part", Err("no such heading".to_owned())),
        ("#no-such-part", Err("no such heading".to_owned())),
    ] {
        assert_eq!(check(&document, link), expected, "{link}");
    }
}
