//! What is worth knowing of what Stripe holds, though nothing is done about it.

use crate::{
    actual::{Actual, Found},
    desired::Desired,
    diff::Note,
    kind::Kind,
};

/// All of it.
#[must_use]
pub fn notes(desired: &[Desired], actual: &Actual) -> Vec<Note> {
    let mut all = Vec::new();
    for object in desired {
        match object.kind {
            Kind::Webhook => all.extend(endpoints(object, actual)),
            Kind::Portal => all.extend(portal(object, actual)),
            _ => {}
        }
    }
    all
}

/// Stripe sends each event to all of them.
fn endpoints(object: &Desired, actual: &Actual) -> Option<Note> {
    let same = |found: &&Found| found.is_active() && found.key.as_ref() == Some(&object.key);
    let ids = ids(actual.of(Kind::Webhook).filter(same));
    let what = format!(
        "{} enabled endpoints have this URL, so each event comes as often: {}; disable all but one in the Dashboard",
        ids.len(),
        ids.join(", ")
    );
    (ids.len() > 1).then(|| note(object, what))
}

/// What whoever makes portal sessions must know of the configuration, and which others there are.
fn portal(object: &Desired, actual: &Actual) -> Vec<Note> {
    let mut all = Vec::new();
    let mut portals = actual.of(Kind::Portal);
    let chosen = portals.find(|found| found.key.as_ref() == Some(&object.key));
    if let Some(found) = chosen.filter(|found| found.object["is_default"] == false) {
        let what = format!(
            "portal sessions must name configuration {}: it is not the account's default one",
            found.id
        );
        all.push(note(object, what));
    }
    let ours = |found: &&Found| found.is_ours() && found.object["active"] != false;
    let ids = ids(actual.of(Kind::Portal).filter(ours));
    if let Some(found) = chosen.filter(|_| ids.len() > 1) {
        let what = format!(
            "{} configurations bear our mark: {}; only {} is kept as the catalog says",
            ids.len(),
            ids.join(", "),
            found.id
        );
        all.push(note(object, what));
    }
    all
}

fn ids<'a>(found: impl Iterator<Item = &'a Found>) -> Vec<&'a str> {
    let mut ids: Vec<&str> = found.map(|found| found.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

fn note(object: &Desired, what: String) -> Note {
    Note {
        kind: object.kind,
        key: object.key.clone(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::MARK;
    use serde_json::{Value, json};

    fn of(kind: Kind, objects: Vec<Value>) -> Vec<String> {
        let key = if kind == Kind::Portal { "portal" } else { "https://a" };
        let object = Desired {
            kind,
            key: key.to_owned(),
            fields: crate::value::Fields::new(),
        };
        let mut actual = Actual::default();
        actual.take(kind, objects);
        notes(&[object], &actual).into_iter().map(|note| note.what).collect()
    }

    #[test]
    fn several_enabled_endpoints_of_one_url_are_told() {
        let endpoint = |id: &str, url: &str, status: &str| json!({"id": id, "url": url, "status": status});
        let (one, two) = (
            endpoint("we_1", "https://a", "enabled"),
            endpoint("we_2", "https://a", "enabled"),
        );
        let others = vec![
            endpoint("we_3", "https://a", "disabled"),
            endpoint("we_4", "https://b", "enabled"),
            one,
        ];
        assert_eq!(of(Kind::Webhook, others.clone()), Vec::<String>::new());
        let told = of(Kind::Webhook, [others, vec![two]].concat());
        assert!(
            told.len() == 1 && told[0].starts_with("2 enabled endpoints") && told[0].contains("we_1, we_2"),
            "{told:?}"
        );
    }

    #[test]
    fn a_portal_that_is_not_the_default_one_is_told_and_so_are_several() {
        let portal = |id: &str, created: i64, default: bool, active: bool| {
            json!({
                "id": id, "created": created, "is_default": default, "active": active,
                "metadata": {"managed_by": MARK},
            })
        };
        assert_eq!(
            of(Kind::Portal, vec![portal("bpc_1", 1, true, true)]),
            Vec::<String>::new()
        );
        let one = vec![portal("bpc_1", 1, false, true), portal("bpc_2", 2, false, false)];
        assert_eq!(
            of(Kind::Portal, one.clone()),
            ["portal sessions must name configuration bpc_1: it is not the account's default one"]
        );
        let told = of(Kind::Portal, [one, vec![portal("bpc_3", 3, false, true)]].concat());
        assert!(
            told.len() == 2 && told[1].contains("bpc_1, bpc_3; only bpc_1 is kept"),
            "{told:?}"
        );
    }
}
