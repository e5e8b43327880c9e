//! Several items: which one is the plan, its period, and its seats.

use super::{
    subscription::{before_basil, now, since_basil, subscription, updated},
    *,
};
use crate::domain::fact::{BillingInterval, IntervalUnit, Period, Plan, Snapshot, SubscriptionItem};
use crate::{domain::ids::SubscriptionId, read::stripe::read_with_items};

const M: i64 = 1_000_000;

fn price(id: &str, clues: &Value) -> Value {
    let mut price = json!({
        "id": id, "lookup_key": null, "product": "prod_of_nobody", "metadata": {},
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
    });
    for (pointer, value) in clues.as_object().expect("clues") {
        price = with(&price, pointer, value.clone());
    }
    price
}

/// An item whose price has these clues; see [`with`].
fn item(id: &str, created: i64, quantity: &Value, clues: &Value) -> Value {
    json!({
        "id": id, "created": created, "quantity": quantity, "price": price(&format!("price_of_{id}"), clues),
        "current_period_start": created, "current_period_end": created + 100,
    })
}

fn key(lookup_key: &str) -> Value {
    json!({"/lookup_key": lookup_key})
}

fn of_items(items: &[Value]) -> Value {
    with(&since_basil(), "/items/data", json!(items))
}

fn plan(snapshot: &Snapshot) -> &Plan {
    snapshot.plan.as_ref().expect("a plan")
}

#[test]
fn the_plan_item_is_the_one_that_is_known_best_then_licensed_then_higher_then_oldest() {
    let metered = |lookup_key: &str| json!({"/lookup_key": lookup_key, "/recurring/usage_type": "metered"});
    let (one, none) = (json!(1), json!(null));
    for (what, items, expected) in [
        (
            "lookup key before metadata before product",
            vec![
                item("si_p", 1, &one, &json!({"/product": "prod_max"})),
                item("si_m", 2, &one, &json!({"/metadata/tier": "plus"})),
                item("si_k", 3, &one, &key("basic_monthly")),
            ],
            "si_k",
        ),
        (
            "metadata before product",
            vec![
                item("si_p", 1, &one, &json!({"/product": "prod_max"})),
                item("si_m", 2, &one, &json!({"/metadata/tier": "plus"})),
            ],
            "si_m",
        ),
        (
            "licensed before metered",
            vec![
                item("si_m", 1, &none, &metered("max_monthly")),
                item("si_l", 2, &one, &key("basic_monthly")),
            ],
            "si_l",
        ),
        (
            "a metered one alone",
            vec![
                item("si_m", 1, &none, &metered("max_monthly")),
                item("si_x", 0, &one, &key("extra")),
            ],
            "si_m",
        ),
        (
            "the higher tier",
            vec![
                item("si_b", 1, &one, &key("basic_monthly")),
                item("si_x", 0, &json!(7), &key("extra")),
                item("si_max", 3, &one, &key("max_monthly")),
                item("si_plus", 2, &one, &key("plus_monthly")),
            ],
            "si_max",
        ),
        (
            "not one that is sold zero times",
            vec![
                item("si_max", 1, &json!(0), &key("max_monthly")),
                item("si_b", 2, &none, &key("basic_monthly")),
            ],
            "si_b",
        ),
        (
            "the oldest",
            vec![
                item("si_new", 9, &one, &key("plus_monthly")),
                item("si_old", 8, &one, &key("plus_yearly")),
            ],
            "si_old",
        ),
        (
            "the smaller id",
            vec![
                item("si_2", 8, &one, &key("plus_monthly")),
                item("si_1", 8, &one, &key("plus_yearly")),
            ],
            "si_1",
        ),
    ] {
        let reversed: Vec<Value> = items.iter().rev().cloned().collect();
        for items in [&items, &reversed] {
            let snapshot = now(&of_items(items));
            assert_eq!(plan(&snapshot).item.as_deref(), Some(expected), "{what}");
            let its = snapshot.items.iter().find(|i| i.item == expected).expect("its item");
            assert_eq!(snapshot.period, its.period, "{what}: the period is its own");
            assert_eq!(plan(&snapshot).price, format!("price_of_{expected}"), "{what}");
        }
    }
}

#[test]
fn items_that_are_all_sold_zero_times_are_no_plan() {
    let object = of_items(&[item("si_1", 1, &json!(0), &key("max_monthly"))]);
    let (reason, detail) = refusal(&updated(&object));
    assert_eq!(reason, Permanent::UnknownPrice);
    assert!(detail.contains("max_monthly, quantity 0"), "{detail}");
}

#[test]
fn all_items_are_kept_with_price_quantity_interval_and_period() {
    let metered =
        json!({"/recurring/usage_type": "metered", "/recurring/interval": "week", "/recurring/interval_count": 2});
    let mut nameless = item("si_3", 9, &json!(null), &key("extra"));
    nameless["current_period_end"] = json!(null);
    let snapshot = now(&of_items(&[
        item("si_1", 5, &json!(3), &key("plus_yearly")),
        item("si_2", 7, &json!(null), &metered),
        nameless,
    ]));
    let expected =
        |item: &str, quantity, interval: Option<(IntervalUnit, i64)>, period: Option<(i64, i64)>| SubscriptionItem {
            item: item.to_owned(),
            price: format!("price_of_{item}"),
            quantity,
            interval: interval.map(|(unit, count)| BillingInterval { unit, count }),
            period: period.map(|(start, end)| Period { start, end }),
        };
    let (month, weeks) = (Some((IntervalUnit::Month, 1)), Some((IntervalUnit::Week, 2)));
    assert_eq!(
        snapshot.items,
        [
            expected("si_1", Some(3), month, Some((5, 105))),
            expected("si_2", None, weeks, Some((7, 107))),
            // A licensed item without a quantity is sold once.
            expected("si_3", Some(1), month, None),
        ]
    );
    assert_eq!(
        (plan(&snapshot).quantity, plan(&snapshot).interval),
        (3, snapshot.items[0].interval)
    );
}

#[test]
fn seats_multiply_the_limits_of_a_tier_that_is_sold_per_unit() {
    let per_unit = catalog_with("name = \"plus\"", "\nper_unit = true\ntrial_limits = { tokens = 100 }");
    let of = |catalog: &Catalog, quantity: i64| {
        let object = of_items(&[item("si_1", 1, &json!(quantity), &key("plus_yearly"))]);
        meaning_by(catalog, &updated(&object))
    };
    let plan_of = |catalog: &Catalog, quantity| match of(catalog, quantity) {
        Ok(Meaning::Fact(fact)) => match fact.body {
            FactBody::Subscription(fact) => fact.now.plan.expect("a plan"),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let seats = plan_of(&per_unit, 3);
    assert_eq!((seats.quantity, seats.limits["tokens"]), (3, Some(360 * M)));
    assert_eq!(seats.limits["basic_chars"], None);
    assert_eq!(seats.month_limits()["tokens"], Some(30 * M));
    assert_eq!(seats.trial_limits()["tokens"], Some(300));
    assert_eq!(seats.trial_limits()["voice_chars"], Some(3 * M));

    let single = plan_of(&catalog(), 3);
    assert_eq!((single.quantity, single.limits["tokens"]), (3, Some(120 * M)));
    assert_eq!(single.month_limits()["tokens"], Some(10 * M));
    assert_eq!(single.trial_limits, None, "a trial has a month's");

    let refusal = of(&per_unit, i64::MAX).expect_err("too many");
    assert_eq!(refusal.reason, Permanent::Malformed);
    assert!(
        refusal.detail.contains("quantity") && refusal.detail.contains("tokens"),
        "{}",
        refusal.detail
    );
}

#[test]
fn a_monthly_plan_needs_no_limits_of_a_month_beside_its_own() {
    let monthly = now(&of_items(&[item("si_1", 1, &json!(1), &key("plus_monthly"))]));
    assert_eq!(
        (&plan(&monthly).month_limits, &plan(&monthly).trial_limits),
        (&None, &None)
    );
    // An archived price sells what the interval of the event says.
    let weekly = json!({"/metadata/tier": "plus", "/recurring/interval": "week", "/recurring/interval_count": 3});
    let weekly = now(&of_items(&[item("si_1", 1, &json!(1), &weekly)]));
    assert_eq!(plan(&weekly).limits["tokens"], Some(7_500_000));
    assert_eq!(plan(&weekly).month_limits()["tokens"], Some(10 * M));
}

#[test]
fn in_the_old_shape_the_period_is_the_plans_only_if_no_interval_is_shorter() {
    let year = |lookup_key: &str| json!({"/lookup_key": lookup_key, "/recurring/interval": "year"});
    let old = |items: &[Value]| {
        let mut object = with(&before_basil(), "/items/data", json!(items));
        for item in object["items"]["data"].as_array_mut().expect("items") {
            for key in ["current_period_start", "current_period_end"] {
                item.as_object_mut().expect("an item").remove(key);
            }
        }
        now(&object).period
    };
    let shared = now(&before_basil()).period;
    assert!(shared.is_some());
    let one = json!(1);
    let (plan, addon) = (
        item("si_1", 1, &one, &key("max_monthly")),
        item("si_2", 2, &one, &key("extra")),
    );
    let yearly_plan = item("si_1", 1, &one, &year("max_yearly"));
    let yearly_addon = item("si_2", 2, &one, &year("extra"));
    let weekly_addon = item(
        "si_2",
        2,
        &one,
        &json!({"/lookup_key": "extra", "/recurring/interval": "week"}),
    );
    for (items, expected) in [
        ([plan.clone(), yearly_addon.clone()], shared),
        ([plan.clone(), addon.clone()], shared),
        ([yearly_plan.clone(), yearly_addon], shared),
        ([yearly_plan, addon], None),
        ([plan, weekly_addon], None),
    ] {
        assert_eq!(old(&items), expected, "{items:?}");
    }
}

#[test]
fn an_item_s_own_period_comes_before_that_of_the_subscription() {
    let both = with(&since_basil(), "/current_period_start", json!(1));
    let both = with(&both, "/current_period_end", json!(2));
    assert_eq!(now(&both).period, now(&since_basil()).period);
    let half = with(&since_basil(), "/items/data/0/current_period_start", json!(null));
    assert_eq!(now(&half).period, None, "half a period is none");
}

/// The plan on the eleventh place: the event shows ten items that are none.
fn cut() -> Value {
    let extra = |n: i64| item(&format!("si_{n}"), n, &json!(1), &key("extra"));
    let items: Vec<Value> = (0..10).map(extra).collect();
    with(&of_items(&items), "/items/has_more", json!(true))
}

#[test]
fn a_cut_list_of_items_without_the_plan_needs_a_lookup() {
    let Ok(Meaning::NeedsLookup(lookup)) = meaning(&updated(&cut())) else {
        panic!("a look-up")
    };
    assert_eq!(lookup.missing, MissingPart::Items(SubscriptionId::new("sub_1")));
    assert_eq!(lookup.unanswered.reason, Permanent::UnknownPrice);
    for part in ["first page", "STRIPE_SECRET_KEY", "replay"] {
        assert!(lookup.unanswered.detail.contains(part), "{}", lookup.unanswered.detail);
    }
    // A plan that only its product names may be known better beyond the page.
    let by_product = with(&cut(), "/items/data/0/price/product", json!("prod_basic"));
    assert!(matches!(meaning(&updated(&by_product)), Ok(Meaning::NeedsLookup(_))));
    // A plan by its lookup key is the plan, and an end needs no plan.
    let shown = with(&cut(), "/items/data/3/price/lookup_key", json!("plus_monthly"));
    assert_eq!(plan(&now(&shown)).item.as_deref(), Some("si_3"));
    assert_eq!(now(&with(&cut(), "/status", json!("canceled"))).plan, None);
    assert_eq!(
        subscription(&event("customer.subscription.deleted", &cut())).now.plan,
        None
    );
}

#[test]
fn stripe_s_answer_completes_a_cut_list_as_it_was_at_the_event() {
    let answer = |created: i64, start: i64, lookup_key: &str| {
        let mut late = item("si_11", created, &json!(2), &key(lookup_key));
        late["current_period_start"] = json!(start);
        late["current_period_end"] = json!(start + 1_000);
        let mut all = cut()["items"]["data"].as_array().expect("items").clone();
        // The shown items stay as the event shows them.
        all[0]["price"]["lookup_key"] = json!("max_monthly");
        all.push(late);
        json!({"object": "list", "data": all, "has_more": false}).to_string()
    };
    let complete = |answer: &str| {
        let body = updated(&cut()).to_string();
        read_with_items(
            body.as_bytes(),
            answer.as_bytes(),
            Source::Webhook,
            &catalog(),
            &EVERYBODY,
        )
    };
    let now = |answer: &str| match complete(answer) {
        Ok(Meaning::Fact(fact)) => match fact.body {
            FactBody::Subscription(fact) => fact.now,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let read = now(&answer(5, CREATED - 10, "plus_monthly"));
    assert_eq!(
        (plan(&read).tier.as_str(), plan(&read).quantity, read.items.len()),
        ("plus", 2, 11)
    );
    let period = Period {
        start: CREATED - 10,
        end: CREATED + 990,
    };
    assert_eq!(read.period, Some(period));
    // A period that began after the event was not that of the event.
    assert_eq!(now(&answer(5, CREATED + 10, "plus_monthly")).period, None);
    // Nor was an item that was added after it.
    for other in [
        answer(CREATED + 1, CREATED, "plus_monthly"),
        answer(5, CREATED, "extra"),
    ] {
        let refusal = complete(&other).expect_err("no plan");
        assert_eq!(refusal.reason, Permanent::UnknownPrice);
        assert!(refusal.detail.contains("CATALOG_FILE"), "{}", refusal.detail);
    }
    assert_eq!(complete("7").expect_err("no list").reason, Permanent::Malformed);
}

#[test]
fn only_a_subscription_that_was_never_about_us_is_ignored() {
    let catalog = catalog_with("ignored_products = [", "\"prod_shop\"");
    let shop = json!({"/lookup_key": "shop", "/product": "prod_shop"});
    let (shop, ours) = (
        item("si_1", 1, &json!(1), &shop),
        item("si_2", 2, &json!(1), &key("plus_monthly")),
    );
    let ignored = Ok(Meaning::Ignored("other_product"));
    assert_eq!(
        meaning_by(&catalog, &updated(&of_items(std::slice::from_ref(&shop)))),
        ignored
    );
    let both = meaning_by(&catalog, &updated(&of_items(&[shop.clone(), ours.clone()])));
    assert!(matches!(both, Ok(Meaning::Fact(_))), "{both:?}");
    let none = meaning_by(&catalog, &updated(&of_items(&[])));
    assert_eq!(none.map_err(|r| r.reason), Err(Permanent::UnknownPrice));
    let left = with(
        &updated(&of_items(std::slice::from_ref(&shop))),
        "/data/previous_attributes",
        json!({"items": {"data": [ours]}}),
    );
    assert_eq!(
        meaning_by(&catalog, &left).map_err(|r| r.reason),
        Err(Permanent::UnknownPrice)
    );
    let cut = with(&of_items(&[shop]), "/items/has_more", json!(true));
    assert!(matches!(
        meaning_by(&catalog, &updated(&cut)),
        Ok(Meaning::NeedsLookup(_))
    ));
}
