//! Plans, and Stripe after they are carried out.

mod law;
mod play;

use crate::{
    actual::{ActualObjects, FoundObject},
    desired::desired_objects,
    diff::diff,
    kind::ObjectKind,
    plan::ChangePlan,
    value,
};
use play::{SHIPPED, applied, carry_out, lines, of, plan, prices, set, wanted};
use serde_json::{Value, json};
use shared::catalog::Catalog;
use std::collections::BTreeSet;

#[test]
fn an_empty_account_gets_everything_and_then_nothing() {
    let desired = wanted(&[]);
    let mut actual = applied(&desired);
    let again = plan(&desired, &actual);
    assert_eq!(lines(&again), Vec::<String>::new());
    assert!(again.refused.is_empty() && again.notes.is_empty());
    assert_eq!(again.unchanged.len(), desired.len());
    // An object without our mark is left alone.
    actual.add(
        ObjectKind::Price,
        vec![json!({"id": "price_x", "active": true, "product": "prod_basic", "metadata": {}})],
    );
    assert_eq!(lines(&plan(&desired, &actual)), Vec::<String>::new());
}

#[test]
fn an_object_is_written_after_the_objects_that_it_refers_to() {
    let first = plan(&wanted(&[]), &ActualObjects::default());
    let at = |line: &str| {
        lines(&first)
            .iter()
            .position(|l| l == line)
            .unwrap_or_else(|| panic!("no {line}"))
    };
    assert!(at("create product prod_basic") < at("create price basic_monthly"));
    assert!(at("create price basic_monthly") < at("create default_price prod_basic"));
    assert!(at("create price max_yearly") < at("create portal_configuration portal"));
    assert!(at("create product prod_plus") < at("create coupon LAUNCHPLUS"));
    assert!(at("create coupon LAUNCHPLUS") < at("create promotion_code LAUNCHPLUS"));
    // Empty values are left out when an object is created.
    for change in &first.changes {
        assert!(
            change.fields.iter().all(|field| !value::is_nothing(&field.to)),
            "{change:?}"
        );
    }
}

#[test]
fn each_difference_in_an_immutable_field_is_refused_and_all_at_once() {
    let desired = wanted(&[]);
    let drifts = [
        (ObjectKind::Price, "basic_monthly", "unit_amount", json!(999)),
        (ObjectKind::Price, "basic_yearly", "currency", json!("usd")),
        (ObjectKind::Price, "plus_monthly", "recurring[interval]", json!("year")),
        (ObjectKind::Price, "plus_yearly", "recurring[interval_count]", json!(2)),
        (ObjectKind::Price, "max_monthly", "product", json!("prod_basic")),
        (ObjectKind::Price, "max_yearly", "tax_behavior", json!("exclusive")),
        (
            ObjectKind::Price,
            "tokens_5m",
            "recurring",
            json!({"interval": "month"}),
        ),
        (ObjectKind::Coupon, "BETA", "amount_off", json!(1)),
        (ObjectKind::Coupon, "LAUNCH", "max_redemptions", json!(5)),
        (
            ObjectKind::Coupon,
            "LAUNCHPLUS",
            "applies_to",
            json!({"products": ["prod_plus", "prod_max"]}),
        ),
        (ObjectKind::Promotion, "BETA", "max_redemptions", json!(11)),
        (ObjectKind::Promotion, "LAUNCH", "expires_at", json!(1_900_000_000)),
        (ObjectKind::Promotion, "LAUNCHPLUS", "promotion[coupon]", json!("BETA")),
        (
            ObjectKind::Webhook,
            "https://billing.example.com/webhooks/stripe",
            "api_version",
            json!("2024-06-20"),
        ),
    ];
    let mut all = applied(&desired);
    for (kind, key, path, to) in &drifts {
        let mut one = applied(&desired);
        for actual in [&mut one, &mut all] {
            set(of(actual, *kind, key), path, to);
        }
        // This could be changed, but a refused plan changes nothing.
        set(of(&mut one, ObjectKind::Product, "prod_max"), "name", &json!("Other"));
        let plan = plan(&desired, &one);
        let refused: Vec<_> = plan.refused.iter().map(|r| (r.kind, r.key.as_str())).collect();
        assert_eq!(refused, [(*kind, *key)], "{path}");
        assert!(
            plan.refused[0].fields[0]
                .path
                .starts_with(path.split('[').next().expect("a path")),
            "{plan:?}"
        );
        assert_eq!(lines(&plan), Vec::<String>::new());
    }
    assert_eq!(plan(&desired, &all).refused.len(), drifts.len());
}

#[test]
fn each_difference_that_stripe_can_change_is_changed() {
    let desired = wanted(&[]);
    for (kind, key, path, to) in [
        (ObjectKind::Product, "prod_basic", "name", json!("Old")),
        (ObjectKind::Product, "prod_basic", "description", json!(null)),
        (ObjectKind::Product, "prod_basic", "active", json!(false)),
        (ObjectKind::Product, "prod_basic", "tax_code", json!("txcd_1")),
        (ObjectKind::Price, "basic_monthly", "active", json!(false)),
        (ObjectKind::Price, "basic_monthly", "metadata", json!({})),
        (ObjectKind::Price, "basic_monthly", "tax_behavior", json!("unspecified")),
        (
            ObjectKind::DefaultPrice,
            "prod_basic",
            "default_price",
            json!("price_other"),
        ),
        (ObjectKind::Coupon, "BETA", "name", json!("Old")),
        (ObjectKind::Promotion, "BETA", "active", json!(false)),
        (ObjectKind::Portal, "portal", "business_profile[headline]", json!("Old")),
        (ObjectKind::Portal, "portal", "active", json!(false)),
        (
            ObjectKind::Portal,
            "portal",
            "features[subscription_update][schedule_at_period_end][conditions]",
            json!([]),
        ),
        (
            ObjectKind::Portal,
            "portal",
            "features[subscription_update][products]",
            json!([]),
        ),
        (
            ObjectKind::Portal,
            "portal",
            "features[subscription_cancel][mode]",
            json!("immediately"),
        ),
        (
            ObjectKind::Webhook,
            "https://billing.example.com/webhooks/stripe",
            "enabled_events",
            json!(["*"]),
        ),
        (
            ObjectKind::Webhook,
            "https://billing.example.com/webhooks/stripe",
            "disabled",
            json!(true),
        ),
        (ObjectKind::Tax, "tax", "defaults[tax_code]", json!("txcd_1")),
    ] {
        let mut actual = applied(&desired);
        set(of(&mut actual, kind, key), path, &to);
        let change = plan(&desired, &actual);
        assert_eq!(
            lines(&change),
            [format!("update {} {key}", kind.traits().name)],
            "{path}"
        );
        assert!(
            change.changes[0]
                .fields
                .iter()
                .all(|field| field.path.starts_with(path)),
            "{change:?}"
        );
        carry_out(&change, &mut actual);
        assert_eq!(lines(&plan(&desired, &actual)), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn a_field_that_the_catalog_no_longer_has_is_sent_as_empty() {
    let mut actual = applied(&wanted(&[]));
    let immediate = wanted(&[
        ("downgrades = \"period_end\"", "downgrades = \"immediate\""),
        ("description = \"Tollbridge\"\n", ""),
    ]);
    let emptied = plan(&immediate, &actual);
    let fields: Vec<_> = emptied
        .changes
        .iter()
        .flat_map(|c| &c.fields)
        .map(|f| (f.path.as_str(), &f.to))
        .collect();
    let conditions = "features[subscription_update][schedule_at_period_end][conditions]";
    assert_eq!(fields, [(conditions, &json!([])), ("description", &Value::Null)]);
    carry_out(&emptied, &mut actual);
    assert!(plan(&immediate, &actual).changes.is_empty());
}

#[test]
fn a_price_is_replaced_only_on_request_and_the_worker_still_knows_its_tier() {
    let mut actual = applied(&wanted(&[]));
    let old = prices(&actual)["basic_monthly"].clone();
    // A person created it, without our metadata.
    set(
        of(&mut actual, ObjectKind::Price, "basic_monthly"),
        "metadata",
        &json!({}),
    );
    let dearer = wanted(&[("amount = 1000", "amount = 1200")]);
    assert_eq!(plan(&dearer, &actual).refused.len(), 1);
    let replace = BTreeSet::from(["basic_monthly".to_owned(), "plus_monthly".to_owned()]);
    let plan = diff(&dearer, &actual, &replace);
    let expected = [
        format!("update price {old}"),
        "create price basic_monthly".to_owned(),
        "update default_price prod_basic".to_owned(),
        "update portal_configuration portal".to_owned(),
        format!("archive price {old}"),
    ];
    assert_eq!(lines(&plan), expected);
    assert!(plan.changes[1].takes_key);
    // Interrupted after any write, the next apply finishes the replacement, without another --replace.
    for done in 0..=expected.len() {
        let mut cut_off = actual.clone();
        carry_out(
            &ChangePlan {
                changes: plan.changes[..done].to_vec(),
                ..ChangePlan::default()
            },
            &mut cut_off,
        );
        let again = if done < 2 { replace.clone() } else { BTreeSet::new() };
        let rest = diff(&dearer, &cut_off, &again);
        assert!(rest.refused.is_empty(), "{done}: {rest:?}");
        carry_out(&rest, &mut cut_off);
        assert_eq!(
            lines(&diff(&dearer, &cut_off, &BTreeSet::new())),
            Vec::<String>::new(),
            "{done}"
        );
        let price = cut_off
            .of(ObjectKind::Price)
            .find(|p| p.id == old)
            .expect("nothing is deleted");
        assert_eq!(
            (price.is_active(), price.text("metadata[tier]")),
            (false, Some("basic")),
            "{done}"
        );
        assert_eq!(price.key, None);
    }
}

#[test]
fn an_object_taken_out_of_the_catalog_is_archived_and_never_deleted() {
    let mut actual = applied(&wanted(&[]));
    let code = "[[promotion]]\ncode = \"BETA\"\ncoupon = \"BETA\"\nmax_redemptions = 10\n";
    let fewer = SHIPPED.replace(code, "");
    let from = fewer.find("[[price]]\nlookup_key = \"basic_yearly\"").expect("a price");
    let to = fewer
        .find("[[price]]\nlookup_key = \"plus_monthly\"")
        .expect("the next one");
    let fewer = desired_objects(&Catalog::parse(&(fewer[..from].to_owned() + &fewer[to..])).expect("a catalog"));
    let yearly = prices(&actual)["basic_yearly"].clone();
    let less = plan(&fewer, &actual);
    let [portal, code, price] = &lines(&less)[..] else {
        panic!("{less:?}")
    };
    assert_eq!(portal, "update portal_configuration portal");
    assert!(
        code == "archive promotion_code BETA" && *price == format!("archive price {yearly}"),
        "{less:?}"
    );
    carry_out(&less, &mut actual);
    assert!(plan(&fewer, &actual).changes.is_empty());
    // Back in the catalog, it is activated again.
    let back = plan(&wanted(&[]), &actual);
    assert_eq!(
        lines(&back),
        [
            "update price basic_yearly",
            "update promotion_code BETA",
            "update portal_configuration portal"
        ]
    );
}

#[test]
fn a_code_that_stripe_deactivated_gets_a_note_and_stays_inactive() {
    let desired = wanted(&[]);
    for (path, to, expected) in [
        ("times_redeemed", json!(10), "it has been redeemed 10 times"),
        ("coupon", json!(null), "its coupon BETA is no longer valid"),
    ] {
        let mut actual = applied(&desired);
        set(of(&mut actual, ObjectKind::Promotion, "BETA"), "active", &json!(false));
        match path {
            "coupon" => set(of(&mut actual, ObjectKind::Coupon, "BETA"), "valid", &json!(false)),
            path => set(of(&mut actual, ObjectKind::Promotion, "BETA"), path, &to),
        }
        let plan = plan(&desired, &actual);
        assert!(plan.changes.is_empty() && plan.refused.is_empty(), "{plan:?}");
        assert!(
            plan.notes.len() == 1 && plan.notes[0].text.contains(expected),
            "{plan:?}"
        );
    }
    let ended = wanted(&[("max_redemptions = 10", "expires_at = 2020-01-01T00:00:00Z")]);
    let notes = plan(
        &ended,
        &ActualObjects {
            read_at: 1_800_000_000,
            ..ActualObjects::default()
        },
    )
    .notes;
    assert!(
        notes.len() == 1 && notes[0].text.contains("it has expired"),
        "{notes:?}"
    );
    // An inactive code with other terms is another code, so a new one is created.
    let mut actual = applied(&desired);
    set(of(&mut actual, ObjectKind::Promotion, "BETA"), "active", &json!(false));
    let other = wanted(&[("max_redemptions = 10", "max_redemptions = 20")]);
    assert_eq!(lines(&plan(&other, &actual)), ["create promotion_code BETA"]);
}

#[test]
fn a_code_without_limits_in_the_catalog_may_have_the_limits_of_its_coupon() {
    let limited = "duration = \"once\"\nmax_redemptions = 7\nredeem_by = 2030-01-31T23:59:59Z";
    let desired = wanted(&[("max_redemptions = 10\n", ""), ("duration = \"once\"", limited)]);
    let end = 1_896_134_399;
    for (path, to, is_refused) in [
        ("max_redemptions", 7, false),
        ("expires_at", end, false),
        ("max_redemptions", 6, true),
        ("expires_at", end - 1, true),
    ] {
        let mut actual = applied(&desired);
        set(of(&mut actual, ObjectKind::Promotion, "BETA"), path, &json!(to));
        let plan = plan(&desired, &actual);
        assert_eq!(plan.refused.len(), usize::from(is_refused), "{path} {to}: {plan:?}");
        assert!(plan.changes.is_empty(), "{path} {to}: {plan:?}");
    }
    // If the catalog limits the code, the coupon's limit is a difference.
    let both = wanted(&[("duration = \"once\"", "duration = \"once\"\nmax_redemptions = 20")]);
    let mut actual = applied(&both);
    set(
        of(&mut actual, ObjectKind::Promotion, "BETA"),
        "max_redemptions",
        &json!(20),
    );
    assert_eq!(plan(&both, &actual).refused.len(), 1);
}

#[test]
fn the_case_of_a_code_and_expanded_objects_are_no_difference() {
    let desired = wanted(&[]);
    let mut actual = applied(&desired);
    for found in &mut actual.found {
        match found.kind {
            ObjectKind::Promotion => found.object["code"] = json!(found.key.clone().unwrap_or_default().to_lowercase()),
            ObjectKind::Price => found.object["product"] = json!({"id": found.object["product"], "object": "product"}),
            _ => {}
        }
        *found = FoundObject::new(found.kind, found.object.clone());
        if found.kind == ObjectKind::Portal {
            found.key = Some("portal".to_owned());
        }
    }
    assert_eq!(lines(&plan(&desired, &actual)), Vec::<String>::new());
}
