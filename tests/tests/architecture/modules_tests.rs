//! What the graph of modules sees, as a table: files, and who needs what of whom.

use crate::graph::{circles, grouped, layers};
use crate::modules::{Crate, Needs};

/// The graph of a crate with these files.
fn needs(files: &[(&str, &str)]) -> Needs {
    let read = |path: &str| {
        let file = files.iter().find(|(name, _)| format!("src/{name}") == path);
        file.map(|(_, text)| (*text).to_owned())
    };
    Crate::read("src/lib.rs", &read).needs()
}

/// The edges of a graph as `file -> other: names`.
fn edges(needs: &Needs) -> Vec<String> {
    let short = |file: &str| file.trim_start_matches("src/").to_owned();
    let edge = |file: &str, (other, names): (&String, &std::collections::BTreeSet<String>)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        format!("{} -> {}: {}", short(file), short(other), names.join(", "))
    };
    let edges = needs
        .iter()
        .flat_map(|(file, others)| others.iter().map(move |other| edge(file, other)));
    edges.collect()
}

#[test]
fn every_way_to_name_an_item_is_an_edge_to_the_file_that_defines_it() {
    const ROOT: (&str, &str) = ("lib.rs", "mod a; mod b; mod c;");
    const B: (&str, &str) = ("b/mod.rs", "pub mod d; pub use d::Deep; pub struct B; pub fn b() {}");
    const D: (&str, &str) = ("b/d.rs", "pub struct Deep; pub fn deep() {}");
    const C: (&str, &str) = ("c.rs", "pub struct C;");
    for (a, expected) in [
        ("use crate::b::B;", &["a.rs -> b/mod.rs: B"][..]),
        ("use super::b::B;", &["a.rs -> b/mod.rs: B"]),
        (
            "use crate::{b::{self, B}, c::C};",
            &["a.rs -> b/mod.rs: B", "a.rs -> c.rs: C"],
        ),
        (
            "use crate::b::B as Other; use crate::c::C as _;",
            &["a.rs -> b/mod.rs: B", "a.rs -> c.rs: C"],
        ),
        // A re-export is an edge to the file behind it.
        ("use crate::b::Deep;", &["a.rs -> b/d.rs: Deep"]),
        ("use crate::b::d::deep;", &["a.rs -> b/d.rs: deep"]),
        // A module alone is none, until something in it is named.
        ("use crate::b;", &[]),
        ("use crate::b; fn f() { b::b() }", &["a.rs -> b/mod.rs: b"]),
        ("use crate::b; fn f() { b::d::deep() }", &["a.rs -> b/d.rs: deep"]),
        (
            "use crate::b::d as other; fn f() { other::deep() }",
            &["a.rs -> b/d.rs: deep"],
        ),
        ("use crate::b::*; fn f(_: Deep) {}", &["a.rs -> b/d.rs: Deep"]),
        ("fn f(_: crate::c::C) {}", &["a.rs -> c.rs: C"]),
        ("fn f() { crate::b::B::new(1); }", &["a.rs -> b/mod.rs: B"]),
        ("fn f(_: Vec<Option<crate::c::C>>) {}", &["a.rs -> c.rs: C"]),
        ("fn f() { use crate::c::C; }", &["a.rs -> c.rs: C"]),
        ("impl From<crate::c::C> for X {} struct X;", &["a.rs -> c.rs: C"]),
        // In macros, too; there a field is no name of a module.
        (
            "fn f() { ensure!(x.c == crate::b::b(), \"{}\", crate::c::C); }",
            &["a.rs -> b/mod.rs: b", "a.rs -> c.rs: C"],
        ),
        (
            "use crate::b; fn f() { select! { x = b::d::deep() => {} } }",
            &["a.rs -> b/d.rs: deep"],
        ),
        ("#[serde(with = \"crate::b::d\")] struct X;", &[]),
        (
            "struct X { #[serde(deserialize_with = \"crate::b::b\")] x: i32 }",
            &["a.rs -> b/mod.rs: b"],
        ),
        ("#[error(\"{}\", crate::b::b())] struct X;", &["a.rs -> b/mod.rs: b"]),
        // A name that only a macro may have made is the module's that is named.
        ("use crate::c::made;", &["a.rs -> c.rs: made"]),
        ("pub(in crate::b) struct X;", &[]),
        ("use other::b::B; use ::b::B as C; fn f() { std::b::b() }", &[]),
        ("#[cfg(test)] mod tests { use crate::b::B; }", &[]),
        ("#[cfg(test)] mod tests;", &[]),
        (
            "#[cfg(test)] use crate::b::B; #[cfg(test)] fn f() { crate::b::b() }",
            &[],
        ),
        ("struct X; impl X { #[cfg(test)] fn f() { crate::b::b() } }", &[]),
        (
            "mod within { use crate::c::C; use super::super::b::B; }",
            &["a.rs -> b/mod.rs: B", "a.rs -> c.rs: C"],
        ),
        ("// crate::b::B\nconst TEXT: &str = \"crate::b::B\";", &[]),
    ] {
        assert_eq!(edges(&needs(&[ROOT, B, D, C, ("a.rs", a)])), expected, "{a}");
    }
}

#[test]
fn a_folder_and_its_children_are_a_circle_only_if_each_defines_what_the_other_takes() {
    for (parent, child, expected) in [
        // It declares and hands on.
        ("mod child; pub use child::Child;", "pub struct Child;", &[][..]),
        (
            "mod child; fn f() { child::g() }",
            "pub fn g() {}",
            &["a/mod.rs -> a/child.rs: g"],
        ),
        (
            "mod child; pub struct A;",
            "use super::A;",
            &["a/child.rs -> a/mod.rs: A"],
        ),
        (
            "mod child; mod other; pub use other::Other;",
            "use super::Other;",
            &["a/child.rs -> a/other.rs: Other"],
        ),
        // What it hands on and needs itself.
        (
            "mod child; pub use child::C; fn f(_: C) {}",
            "pub struct C;",
            &["a/mod.rs -> a/child.rs: C"],
        ),
        (
            "mod child; pub struct A; fn f() { child::g() }",
            "use super::A; pub fn g() {}",
            &["a/child.rs -> a/mod.rs: A", "a/mod.rs -> a/child.rs: g"],
        ),
    ] {
        let graph = needs(&[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", parent),
            ("a/child.rs", child),
            ("a/other.rs", "pub struct Other;"),
        ]);
        assert_eq!(edges(&graph), expected, "{parent} / {child}");
        assert_eq!(
            circles(&graph).len(),
            usize::from(expected.len() == 2),
            "{parent} / {child}"
        );
    }
}

#[test]
fn files_are_found_where_the_compiler_finds_them() {
    let graph = needs(&[
        ("lib.rs", "mod a; mod b { mod inner; }"),
        ("a.rs", "mod below; #[path = \"elsewhere.rs\"] mod given; use given::G;"),
        ("a/below.rs", "use super::given::G;"),
        ("elsewhere.rs", "pub struct G;"),
        ("b/inner.rs", "use crate::a::below;"),
    ]);
    assert_eq!(
        edges(&graph),
        ["a.rs -> elsewhere.rs: G", "a/below.rs -> elsewhere.rs: G"]
    );
    assert!(graph.contains_key("src/b/inner.rs"));
}

#[test]
fn a_circle_is_named_with_its_files_and_what_they_take() {
    let graph = needs(&[
        ("lib.rs", "mod a; mod b; mod c; mod top;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "use crate::a::A; pub struct C;"),
        ("top.rs", "use crate::a::A;"),
    ]);
    let circle = "a circle of 3: src/a.rs, src/b.rs, src/c.rs\n  src/a.rs takes from src/b.rs: B\n  \
                  src/b.rs takes from src/c.rs: C\n  src/c.rs takes from src/a.rs: A";
    assert_eq!(circles(&graph), [circle]);
    assert_eq!(
        layers(&graph),
        " 1  src/top.rs\n 0  src/a.rs, src/b.rs, src/c.rs, src/lib.rs"
    );
}

#[test]
fn folders_can_be_a_circle_where_their_files_are_none() {
    let graph = needs(&[
        ("lib.rs", "mod a; mod b;"),
        ("a/mod.rs", "mod one; pub mod two;"),
        ("a/one.rs", "use crate::b::B;"),
        ("a/two.rs", "pub struct Two;"),
        ("b.rs", "use crate::a::two::Two; pub struct B;"),
    ]);
    assert!(circles(&graph).is_empty());
    let folders = grouped(&graph, |file| file.trim_start_matches("src/").chars().take(1).collect());
    assert_eq!(circles(&folders).len(), 1);
}
