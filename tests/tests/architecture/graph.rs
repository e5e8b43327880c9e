//! Circles and layers of a graph of files or of folders.

use crate::modules::Needs;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The circles of `needs`, each described with its members and what they take from each other; none if
/// the graph runs one way.
pub(crate) fn circles(needs: &Needs) -> Vec<String> {
    let reached = reached(needs);
    let mut described = Vec::new();
    let mut seen = BTreeSet::new();
    for node in needs.keys() {
        let members = circle_of(node, &reached);
        if members.len() < 2 || !seen.insert(members.clone()) {
            continue;
        }
        let mut text = format!("a circle of {}: {}", members.len(), join(members.iter().copied()));
        for member in &members {
            for (other, names) in needs[*member]
                .iter()
                .filter(|(other, _)| members.contains(other.as_str()))
            {
                write!(
                    text,
                    "\n  {member} takes from {other}: {}",
                    join(names.iter().map(String::as_str))
                )
                .expect("a string can be written to");
            }
        }
        described.push(text);
    }
    described
}

/// The nodes in lines, top layer first: each needs only what stands in lines below it. The members of a
/// circle stand in one line.
pub(crate) fn layers(needs: &Needs) -> String {
    let mut by_height: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (node, height) in heights(needs) {
        by_height.entry(height).or_default().push(node);
    }
    let lines = by_height.into_iter().rev();
    let lines: Vec<String> = lines
        .map(|(height, nodes)| format!("{height:2}  {}", join(nodes)))
        .collect();
    lines.join("\n")
}

/// The same graph with several nodes as one: `group` names the one that a node belongs to.
pub(crate) fn grouped(needs: &Needs, group: impl Fn(&str) -> String) -> Needs {
    let mut groups = Needs::new();
    for (node, others) in needs {
        let own = group(node);
        let of_group = groups.entry(own.clone()).or_default();
        for (other, names) in others {
            let other = group(other);
            if other != own {
                of_group.entry(other).or_default().extend(names.iter().cloned());
            }
        }
    }
    groups
}

type Reached<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// For each node all that it needs, directly or through others.
fn reached(needs: &Needs) -> Reached<'_> {
    let mut reached = Reached::new();
    for node in needs.keys() {
        let mut found = BTreeSet::new();
        let mut open = vec![node.as_str()];
        while let Some(next) = open.pop() {
            for other in needs.get(next).into_iter().flat_map(BTreeMap::keys) {
                if found.insert(other.as_str()) {
                    open.push(other);
                }
            }
        }
        reached.insert(node, found);
    }
    reached
}

/// The nodes that need `node` and are needed by it, with itself.
fn circle_of<'a>(node: &'a str, reached: &Reached<'a>) -> BTreeSet<&'a str> {
    let back = |other: &&str| reached.get(other).is_some_and(|further| further.contains(node));
    let mut members: BTreeSet<&str> = reached[node].iter().copied().filter(back).collect();
    members.insert(node);
    members
}

/// For each node the length of the longest way down from it; a circle counts as one node.
fn heights(needs: &Needs) -> BTreeMap<&str, usize> {
    let reached = reached(needs);
    let mut nodes: Vec<&str> = needs.keys().map(String::as_str).collect();
    // A node reaches more than any that it needs, unless both are in one circle.
    nodes.sort_by_key(|node| reached[node].len());
    let mut heights = BTreeMap::new();
    for node in nodes {
        let members = circle_of(node, &reached);
        let below = members.iter().flat_map(|member| needs[*member].keys());
        let below = below.filter(|other| !members.contains(other.as_str()));
        let height = below.filter_map(|other| heights.get(other.as_str())).max();
        let height = height.map_or(0, |height: &usize| height + 1);
        heights.insert(node, height);
    }
    heights
}

fn join<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}
