//! Remarks about what Stripe has. They lead to no write.

use crate::{
    actual::{ActualObjects, FoundObject},
    desired::DesiredObject,
    kind::ObjectKind,
    plan::PlanNote,
};

/// All remarks about endpoints and portal configurations.
#[must_use]
pub fn notes(desired: &[DesiredObject], actual: &ActualObjects) -> Vec<PlanNote> {
    let mut all = Vec::new();
    for object in desired {
        match object.kind {
            ObjectKind::Webhook => all.extend(endpoint_note(object, actual)),
            ObjectKind::Portal => all.extend(portal_notes(object, actual)),
            _ => {}
        }
    }
    all
}

/// Stripe sends each event to every enabled endpoint, also if two have one URL.
fn endpoint_note(object: &DesiredObject, actual: &ActualObjects) -> Option<PlanNote> {
    let same_url = |found: &&FoundObject| found.is_active() && found.key.as_ref() == Some(&object.key);
    let ids = ids(actual.of(ObjectKind::Webhook).filter(same_url));
    if ids.len() <= 1 {
        return None;
    }
    let text = format!(
        "{} enabled endpoints have this URL, so Stripe sends each event {} times: {}; disable all but one in the \
         Dashboard",
        ids.len(),
        ids.len(),
        ids.join(", ")
    );
    Some(note(object, text))
}

/// Says which configuration portal sessions must name, and whether others have our mark.
fn portal_notes(object: &DesiredObject, actual: &ActualObjects) -> Vec<PlanNote> {
    let mut portals = actual.of(ObjectKind::Portal);
    let Some(chosen) = portals.find(|found| found.key.as_ref() == Some(&object.key)) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    if chosen.object["is_default"] == false {
        let text = format!(
            "portal sessions must name configuration {}: it is not the account's default one",
            chosen.id
        );
        all.push(note(object, text));
    }
    let ours = |found: &&FoundObject| found.is_ours() && found.object["active"] != false;
    let ids = ids(actual.of(ObjectKind::Portal).filter(ours));
    if ids.len() > 1 {
        let text = format!(
            "{} active configurations have the metadata managed_by=tollbridge: {}; apply updates only {}",
            ids.len(),
            ids.join(", "),
            chosen.id
        );
        all.push(note(object, text));
    }
    all
}

fn ids<'a>(found: impl Iterator<Item = &'a FoundObject>) -> Vec<&'a str> {
    let mut ids: Vec<&str> = found.map(|found| found.id.as_str()).collect();
    ids.sort_unstable();
    ids
}

fn note(object: &DesiredObject, text: String) -> PlanNote {
    PlanNote {
        kind: object.kind,
        key: object.key.clone(),
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::MARK;
    use serde_json::{Value, json};

    fn of(kind: ObjectKind, objects: Vec<Value>) -> Vec<String> {
        let key = if kind == ObjectKind::Portal {
            "portal"
        } else {
            "https://a"
        };
        let object = DesiredObject {
            kind,
            key: key.to_owned(),
            fields: crate::value::Fields::new(),
        };
        let mut actual = ActualObjects::default();
        actual.add(kind, objects);
        notes(&[object], &actual).into_iter().map(|note| note.text).collect()
    }

    #[test]
    fn several_enabled_endpoints_of_one_url_get_a_note() {
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
        assert_eq!(of(ObjectKind::Webhook, others.clone()), Vec::<String>::new());
        let noted = of(ObjectKind::Webhook, [others, vec![two]].concat());
        assert!(
            noted.len() == 1 && noted[0].starts_with("2 enabled endpoints") && noted[0].contains("we_1, we_2"),
            "{noted:?}"
        );
    }

    #[test]
    fn a_portal_that_is_not_the_default_one_gets_a_note_and_so_do_several() {
        let portal = |id: &str, created: i64, default: bool, active: bool| {
            json!({
                "id": id, "created": created, "is_default": default, "active": active,
                "metadata": {"managed_by": MARK},
            })
        };
        assert_eq!(
            of(ObjectKind::Portal, vec![portal("bpc_1", 1, true, true)]),
            Vec::<String>::new()
        );
        let one = vec![portal("bpc_1", 1, false, true), portal("bpc_2", 2, false, false)];
        assert_eq!(
            of(ObjectKind::Portal, one.clone()),
            ["portal sessions must name configuration bpc_1: it is not the account's default one"]
        );
        let noted = of(
            ObjectKind::Portal,
            [one, vec![portal("bpc_3", 3, false, true)]].concat(),
        );
        assert!(
            noted.len() == 2 && noted[1].contains("bpc_1, bpc_3; apply updates only bpc_1"),
            "{noted:?}"
        );
    }
}
