//! What a request does: one way for all kinds of objects, and the few that have their own.

use super::account::Call;
use super::expand::{Tree, render};
use super::list::{page, page_of};
use super::merge::merge;
use super::objects::{life, subscription, test_clock};
use super::refusal::Refusal;
use super::resource::{self, RESOURCES, Resource};
use super::spec::Found;
use crate::fixtures::previous_attributes;
use serde_json::{Map, Value, json};

/// Does what `method` (in lower case) asks for at the path `found`, and answers its JSON.
pub(super) fn serve(call: &mut Call, method: &str, found: &Found, tree: &Tree) -> Result<String, Refusal> {
    let id = found.captured.first().map_or("", String::as_str);
    match (method, found.template) {
        ("get", "/v1/checkout/sessions/{session}/line_items") => return line_items(call, id, tree),
        ("post", "/v1/test_helpers/test_clocks/{test_clock}/advance") => {
            let clock = test_clock::advance(call, id)?;
            return Ok(render(call.mode, clock, &[], tree).to_string());
        }
        ("get", "/v1/test_helpers/test_clocks/{test_clock}") => test_clock::look(call, id),
        _ => {}
    }
    let Some((resource, is_one)) = resource_of(found.template) else {
        return Err(Refusal::not_played(&format!("serve {method} {}", found.template)));
    };
    let object = match (method, is_one || resource.is_single) {
        ("get", false) => return list(call, resource, tree),
        ("get", true) => known(call, resource, id)?,
        ("post", false) => create(call, resource)?,
        ("post", true) => update(call, resource, id)?,
        _ => delete(call, resource, id)?,
    };
    Ok(render(call.mode, object, resource.hidden, tree).to_string())
}

/// The kind of objects at a path, and whether the path is one object's.
pub(super) fn resource_of(template: &str) -> Option<(&'static Resource, bool)> {
    let path = template.strip_prefix("/v1/")?;
    let (collection, is_one) = match path.rsplit_once('/') {
        Some((collection, place)) if place.starts_with('{') => (collection, true),
        _ => (path, false),
    };
    Some((resource::named(collection)?, is_one))
}

/// The kind of objects whose permission a path needs.
pub(super) fn guarded_by(template: &str) -> Option<&'static Resource> {
    let path = template.strip_prefix("/v1/")?;
    RESOURCES.iter().find(|resource| {
        let rest = path.strip_prefix(resource.collection);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn known(call: &mut Call, resource: &'static Resource, id: &str) -> Result<Value, Refusal> {
    match (call.mode.find(resource.collection, id), resource.blank) {
        (Some(object), _) => Ok(object),
        (None, Some(blank)) if resource.is_single => {
            let mut object = blank(call);
            object["object"] = json!(resource.object);
            Ok(object)
        }
        _ => Err(Refusal::absent(resource.object, id)),
    }
}

/// The parameters that are fields.
fn fields(params: &Map<String, Value>, resource: &Resource) -> Map<String, Value> {
    let is_field = |name: &str| name != "expand" && !resource.aside.contains(&name);
    let fields = params.iter().filter(|(name, _)| is_field(name));
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Keeps an object, without what is told once.
fn keep(call: &mut Call, resource: &Resource, object: &Value) {
    let mut kept = object.clone();
    if let Some(fields) = kept.as_object_mut() {
        fields.retain(|name, _| !resource.once.contains(&name.as_str()));
    }
    call.mode.put(resource.collection, &kept);
}

/// Tells of a change as an event, where Stripe has such.
fn tell(call: &mut Call, resource: &Resource, what: &str, object: &Value, previous: Option<Value>) {
    if !resource.events.is_empty() {
        let object = render(call.mode, object.clone(), resource.hidden, &Tree::default());
        call.tell(&format!("{}.{what}", resource.events), &object, previous);
    }
}

fn create(call: &mut Call, resource: &'static Resource) -> Result<Value, Refusal> {
    let Some(blank) = resource.blank else {
        return Err(Refusal::not_played(&format!("create {}", resource.collection)));
    };
    let mut object = blank(call);
    merge(&mut object, &fields(call.params, resource));
    let id = call.text("id").map(str::to_owned);
    let id = id.unwrap_or_else(|| call.id(resource.prefix));
    if call.mode.find(resource.collection, &id).is_some() {
        let mut name = resource.object.to_owned();
        name[..1].make_ascii_uppercase();
        return Err(Refusal::taken("id", format!("{name} already exists.")));
    }
    object["id"] = json!(id);
    object["object"] = json!(resource.object);
    object["created"] = json!(call.now);
    (resource.settle)(call, None, &mut object)?;
    keep(call, resource, &object);
    tell(call, resource, "created", &object, None);
    Ok(object)
}

fn update(call: &mut Call, resource: &'static Resource, id: &str) -> Result<Value, Refusal> {
    let old = known(call, resource, id)?;
    if old["deleted"] == true {
        return Err(Refusal::absent(resource.object, id));
    }
    let mut object = old.clone();
    merge(&mut object, &fields(call.params, resource));
    (resource.settle)(call, Some(&old), &mut object)?;
    if object != old {
        keep(call, resource, &object);
        tell(
            call,
            resource,
            "updated",
            &object,
            Some(previous_attributes(&old, &object)),
        );
    }
    Ok(object)
}

fn delete(call: &mut Call, resource: &'static Resource, id: &str) -> Result<Value, Refusal> {
    let mut object = known(call, resource, id)?;
    if object["deleted"] == true {
        return Err(Refusal::absent(resource.object, id));
    }
    if resource.collection == subscription::SUBSCRIPTIONS.collection {
        let now = test_clock::time_of(call, &object)?;
        life::end(call, &mut object, now);
        return Ok(object);
    }
    (resource.deleted)(call, &object)?;
    tell(call, resource, "deleted", &object, None);
    let stub = json!({"id": id, "object": resource.object, "deleted": true});
    if resource.leaves_stub {
        keep(call, resource, &stub);
    } else {
        call.mode.remove(resource.collection, id);
    }
    Ok(stub)
}

fn list(call: &Call, resource: &'static Resource, tree: &Tree) -> Result<String, Refusal> {
    let Some(table) = call.mode.table(resource.collection) else {
        return Err(Refusal::not_played(&format!("list {}", resource.collection)));
    };
    let (rows, has_more) = page(table, call.params, call.now)?;
    let within = tree.within("data");
    let texts: Vec<String> = rows
        .into_iter()
        .map(|row| {
            // Most are answered as they are kept, which spares a large list its parsing.
            if resource.hidden.is_empty() && within.is_empty() {
                row.text.to_string()
            } else {
                render(call.mode, row.value(), resource.hidden, &within).to_string()
            }
        })
        .collect();
    Ok(list_of(&format!("/v1/{}", resource.collection), &texts, has_more))
}

fn list_of(url: &str, texts: &[String], has_more: bool) -> String {
    let data = texts.join(",");
    format!(
        r#"{{"object":"list","data":[{data}],"has_more":{has_more},"url":{}}}"#,
        json!(url)
    )
}

fn line_items(call: &Call, id: &str, tree: &Tree) -> Result<String, Refusal> {
    let session = call.mode.find("checkout/sessions", id);
    let session = session.ok_or_else(|| Refusal::absent("checkout.session", id))?;
    let lines = session["line_items"]["data"].as_array().map_or(&[][..], Vec::as_slice);
    let (lines, has_more) = page_of(lines, call.params)?;
    let within = tree.within("data");
    let lines = lines
        .into_iter()
        .map(|line| render(call.mode, line.clone(), &[], &within).to_string());
    Ok(list_of(
        &format!("/v1/checkout/sessions/{id}/line_items"),
        &lines.collect::<Vec<_>>(),
        has_more,
    ))
}
