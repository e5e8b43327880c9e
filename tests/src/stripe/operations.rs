//! Runs a request: retrieve, list, create, update and delete for all kinds of objects, and a few special
//! operations.

use super::account_mode::ServedRequest;
use super::expand::{ExpandTree, render};
use super::list::{page, page_of};
use super::merge::merge;
use super::object_kind::ObjectKind;
use super::object_kinds::kind_at;
use super::objects::{subscription, subscription_life, test_clock};
use super::spec::MatchedPath;
use super::stripe_error::StripeError;
use crate::fixtures::previous_attributes;
use serde_json::{Map, Value, json};

/// Runs `method` (in lower case) at the path `found`, and returns the answer as JSON.
pub(super) fn serve(
    call: &mut ServedRequest,
    method: &str,
    found: &MatchedPath,
    tree: &ExpandTree,
) -> Result<String, StripeError> {
    let id = found.captured.first().map_or("", String::as_str);
    match (method, found.template) {
        ("get", "/v1/checkout/sessions/{session}/line_items") => return line_items(call, id, tree),
        ("get", "/v1/subscription_items") => return subscription_items(call, tree),
        ("post", "/v1/test_helpers/test_clocks/{test_clock}/advance") => {
            let clock = test_clock::advance(call, id)?;
            return Ok(render(call.mode, clock, &[], tree).to_string());
        }
        ("get", "/v1/test_helpers/test_clocks/{test_clock}") => test_clock::retrieved(call, id),
        _ => {}
    }
    let Some((kind, is_one)) = kind_at(found.template) else {
        return Err(StripeError::not_supported(&format!(
            "serve {method} {}",
            found.template
        )));
    };
    let object = match (method, is_one || kind.is_single) {
        ("get", false) => return list(call, kind, tree),
        ("get", true) => known(call, kind, id)?,
        ("post", false) => create(call, kind)?,
        ("post", true) => update(call, kind, id)?,
        _ => delete(call, kind, id)?,
    };
    Ok(render(call.mode, object, kind.hidden, tree).to_string())
}

fn known(call: &mut ServedRequest, kind: &'static ObjectKind, id: &str) -> Result<Value, StripeError> {
    match (call.mode.find(kind.collection, id), kind.blank) {
        (Some(object), _) => Ok(object),
        (None, Some(blank)) if kind.is_single => {
            let mut object = blank(call);
            object["object"] = json!(kind.object);
            Ok(object)
        }
        _ => Err(StripeError::absent(kind.object, id)),
    }
}

/// The parameters that become fields.
fn fields(params: &Map<String, Value>, kind: &ObjectKind) -> Map<String, Value> {
    let is_field = |name: &str| name != "expand" && !kind.aside.contains(&name);
    let fields = params.iter().filter(|(name, _)| is_field(name));
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Stores an object, without the fields that only the answer to its creation has.
fn store(call: &mut ServedRequest, kind: &ObjectKind, object: &Value) {
    let mut kept = object.clone();
    if let Some(fields) = kept.as_object_mut() {
        fields.retain(|name, _| !kind.once.contains(&name.as_str()));
    }
    call.mode.put(kind.collection, &kept);
}

/// Adds an event about a change, if Stripe has a type for it.
fn add_event(call: &mut ServedRequest, kind: &ObjectKind, what: &str, object: &Value, previous: Option<Value>) {
    if !kind.events.is_empty() {
        let object = render(call.mode, object.clone(), kind.hidden, &ExpandTree::default());
        call.add_event(&format!("{}.{what}", kind.events), &object, previous);
    }
}

fn create(call: &mut ServedRequest, kind: &'static ObjectKind) -> Result<Value, StripeError> {
    let Some(blank) = kind.blank else {
        return Err(StripeError::not_supported(&format!("create {}", kind.collection)));
    };
    let mut object = blank(call);
    merge(&mut object, &fields(call.params, kind));
    let id = call.text("id").map(str::to_owned);
    let id = id.unwrap_or_else(|| call.id(kind.prefix));
    if call.mode.find(kind.collection, &id).is_some() {
        let mut name = kind.object.to_owned();
        name[..1].make_ascii_uppercase();
        return Err(StripeError::taken("id", format!("{name} already exists.")));
    }
    object["id"] = json!(id);
    object["object"] = json!(kind.object);
    object["created"] = json!(call.now);
    (kind.settle)(call, None, &mut object)?;
    store(call, kind, &object);
    add_event(call, kind, "created", &object, None);
    Ok(object)
}

fn update(call: &mut ServedRequest, kind: &'static ObjectKind, id: &str) -> Result<Value, StripeError> {
    let old = known(call, kind, id)?;
    if old["deleted"] == true {
        return Err(StripeError::absent(kind.object, id));
    }
    let mut object = old.clone();
    merge(&mut object, &fields(call.params, kind));
    (kind.settle)(call, Some(&old), &mut object)?;
    if object != old {
        store(call, kind, &object);
        add_event(call, kind, "updated", &object, Some(previous_attributes(&old, &object)));
    }
    Ok(object)
}

fn delete(call: &mut ServedRequest, kind: &'static ObjectKind, id: &str) -> Result<Value, StripeError> {
    let mut object = known(call, kind, id)?;
    if object["deleted"] == true {
        return Err(StripeError::absent(kind.object, id));
    }
    if kind.collection == subscription::SUBSCRIPTIONS.collection {
        let now = test_clock::time_of(call, &object)?;
        subscription_life::end(call, &mut object, now);
        return Ok(object);
    }
    (kind.deleted)(call, &object)?;
    add_event(call, kind, "deleted", &object, None);
    let stub = json!({"id": id, "object": kind.object, "deleted": true});
    if kind.leaves_stub {
        store(call, kind, &stub);
    } else {
        call.mode.remove(kind.collection, id);
    }
    Ok(stub)
}

fn list(call: &ServedRequest, kind: &'static ObjectKind, tree: &ExpandTree) -> Result<String, StripeError> {
    let Some(table) = call.mode.table(kind.collection) else {
        return Err(StripeError::not_supported(&format!("list {}", kind.collection)));
    };
    let (rows, has_more) = page(kind, table, call.params, call.now)?;
    let within = tree.within("data");
    let texts: Vec<String> = rows
        .into_iter()
        .map(|row| {
            // Most objects are answered as they are stored, so that a large list needs no parsing.
            if kind.hidden.is_empty() && within.is_empty() {
                row.text.to_string()
            } else {
                render(call.mode, row.value(), kind.hidden, &within).to_string()
            }
        })
        .collect();
    Ok(list_of(&format!("/v1/{}", kind.collection), &texts, has_more))
}

fn list_of(url: &str, texts: &[String], has_more: bool) -> String {
    let data = texts.join(",");
    format!(
        r#"{{"object":"list","data":[{data}],"has_more":{has_more},"url":{}}}"#,
        json!(url)
    )
}

/// All items of a subscription. An event, and the subscription itself, show the first ten at
/// most; a test that wants more puts them into the field `all_items`.
fn subscription_items(call: &ServedRequest, tree: &ExpandTree) -> Result<String, StripeError> {
    let id = call.text("subscription");
    let id = id.ok_or_else(|| StripeError::missing("subscription"))?;
    let subscription = call.mode.find(subscription::SUBSCRIPTIONS.collection, id);
    let subscription = subscription.ok_or_else(|| StripeError::no_such("subscription", "subscription", id))?;
    let all = subscription["all_items"].as_array();
    let shown = subscription["items"]["data"].as_array();
    let (items, has_more) = page_of(all.or(shown).map_or(&[][..], Vec::as_slice), call.params)?;
    let within = tree.within("data");
    let items = items
        .into_iter()
        .map(|item| render(call.mode, item.clone(), &[], &within).to_string());
    Ok(list_of("/v1/subscription_items", &items.collect::<Vec<_>>(), has_more))
}

fn line_items(call: &ServedRequest, id: &str, tree: &ExpandTree) -> Result<String, StripeError> {
    let session = call.mode.find("checkout/sessions", id);
    let session = session.ok_or_else(|| StripeError::absent("checkout.session", id))?;
    let url = format!("/v1/checkout/sessions/{id}/line_items");
    entries(call, &session["line_items"], &url, tree)
}

/// A page of a list within an object.
fn entries(call: &ServedRequest, list: &Value, url: &str, tree: &ExpandTree) -> Result<String, StripeError> {
    let all = list["data"].as_array().map_or(&[][..], Vec::as_slice);
    let (shown, has_more) = page_of(all, call.params)?;
    let within = tree.within("data");
    let shown = shown
        .into_iter()
        .map(|entry| render(call.mode, entry.clone(), &[], &within).to_string());
    Ok(list_of(url, &shown.collect::<Vec<_>>(), has_more))
}
