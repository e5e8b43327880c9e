//! After random edits of Stripe's objects, one plan either refuses everything or repairs everything.

use super::play::{applied, carry_out, plan, set, wanted};
use crate::kind::ObjectKind;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Random edits: an object and a field with a new value, or the removal of the object.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, prop::sample::Index, Option<Value>)>> {
    let value = prop_oneof![
        Just(Value::Null),
        Just(json!("other")),
        Just(json!(7)),
        Just(json!(true)),
        Just(json!(false)),
        Just(json!([])),
        Just(json!(["x"])),
        Just(json!({}))
    ];
    let one = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        prop::option::weighted(0.8, value),
    );
    prop::collection::vec(one, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn after_any_edits_one_plan_refuses_everything_or_repairs_everything(edits in edits(), renames in 0..4_usize) {
        let desired = wanted(&[]);
        let mut actual = applied(&desired);
        for (object, field, value) in &edits {
            let object = object.get(&desired);
            let at = actual.found.iter().position(|f| f.kind == object.kind && f.key.as_ref() == Some(&object.key));
            let Some(at) = at else { continue };
            let fields: Vec<&String> = object.fields.keys().filter(|path| !["id", "lookup_key", "code", "url"].contains(&path.as_str())).collect();
            match value {
                Some(value) => set(&mut actual.found[at].object, field.get::<&String>(&fields), value),
                None if !matches!(object.kind, ObjectKind::Tax | ObjectKind::DefaultPrice | ObjectKind::Product) => { actual.found.remove(at); }
                None => {}
            }
        }
        let names: Vec<_> = [("name = \"Basic\"", "name = \"A\""), ("name = \"Plus\"", "name = \"B\""), ("headline = \"Your", "headline = \"My")]
            .into_iter().take(renames).collect();
        let desired = wanted(&names);
        let first = plan(&desired, &actual);
        if first.refused.is_empty() {
            carry_out(&first, &mut actual);
            let second = plan(&desired, &actual);
            prop_assert!(second.changes.is_empty() && second.refused.is_empty(), "{:?}", second);
        } else {
            prop_assert!(first.changes.is_empty());
        }
    }
}
