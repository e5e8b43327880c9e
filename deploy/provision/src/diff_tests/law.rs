//! Whatever somebody did at Stripe: the plan refuses it whole, or mends it at once.

use super::play::{applied, carry_out, plan, set, wanted};
use crate::kind::Kind;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Something somebody did to an object: another value, or the object gone from our sight.
fn meddled() -> impl Strategy<Value = Vec<(prop::sample::Index, prop::sample::Index, Option<Value>)>> {
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
    fn whatever_was_done_to_stripe_is_refused_whole_or_mended_at_once(meddling in meddled(), renames in 0..4_usize) {
        let desired = wanted(&[]);
        let mut actual = applied(&desired);
        for (object, field, value) in &meddling {
            let object = object.get(&desired);
            let at = actual.found.iter().position(|f| f.kind == object.kind && f.key.as_ref() == Some(&object.key));
            let Some(at) = at else { continue };
            let fields: Vec<&String> = object.fields.keys().filter(|path| !["id", "lookup_key", "code", "url"].contains(&path.as_str())).collect();
            match value {
                Some(value) => set(&mut actual.found[at].object, field.get::<&String>(&fields), value),
                None if !matches!(object.kind, Kind::Tax | Kind::DefaultPrice | Kind::Product) => { actual.found.remove(at); }
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
