//! The kinds of objects that the stand-in has: what each is described by, and the table of them.

use super::account::Call;
use super::objects::{
    charge, checkout, coupon, customer, event, invoice, portal, price, product, promotion_code, single, subscription,
    test_clock, webhook_endpoint,
};
use super::refusal::Refusal;
use super::table::Row;
use serde_json::{Map, Value, json};

/// All kinds.
pub(super) static RESOURCES: [Resource; 15] = [
    single::ACCOUNT,
    single::TAX_SETTINGS,
    product::PRODUCTS,
    price::PRICES,
    coupon::COUPONS,
    promotion_code::PROMOTION_CODES,
    portal::CONFIGURATIONS,
    webhook_endpoint::WEBHOOK_ENDPOINTS,
    customer::CUSTOMERS,
    subscription::SUBSCRIPTIONS,
    invoice::INVOICES,
    charge::CHARGES,
    event::EVENTS,
    checkout::SESSIONS,
    test_clock::TEST_CLOCKS,
];

/// How a kind of objects differs from others.
#[derive(Debug)]
pub(super) struct Resource {
    /// Its path below `/v1/`.
    pub(super) collection: &'static str,
    /// The `object` of each.
    pub(super) object: &'static str,
    /// What its ids begin with.
    pub(super) prefix: &'static str,
    /// What a restricted key's permission to it is called: with `_read` or `_write`.
    pub(super) permission: &'static str,
    /// What its events begin with, before `.created` and the like; empty if there are none.
    pub(super) events: &'static str,
    /// Whether there is one alone, which has no id.
    pub(super) is_single: bool,
    /// The fields, as JSON pointers, that lists are filtered by.
    pub(super) columns: &'static [&'static str],
    /// Those of them by which few of many are found.
    pub(super) indexed: &'static [&'static str],
    /// The parameters of a list beside `created` and those of paging.
    pub(super) filters: &'static [(&'static str, Filter)],
    /// Whether a list with these parameters shows an object that fits its filters,
    /// now (Unix time).
    pub(super) shows: fn(&Resource, &Row, &Map<String, Value>, i64) -> bool,
    /// The fields, as JSON pointers, that are answered only if they are expanded.
    pub(super) hidden: &'static [&'static str],
    /// Fields that are answered once, on creation.
    pub(super) once: &'static [&'static str],
    /// Parameters that are no fields.
    pub(super) aside: &'static [&'static str],
    /// The object before any parameter; `None` if it cannot be created here.
    pub(super) blank: Option<fn(&Call) -> Value>,
    /// Refuses what cannot be, and completes what follows from the parameters: given the object
    /// before, if there was one, and with the parameters.
    pub(super) settle: fn(&mut Call, Option<&Value>, &mut Value) -> Result<(), Refusal>,
    /// Whether one that is deleted can still be asked for by its id.
    pub(super) leaves_stub: bool,
    /// Refuses a deletion that cannot be, and deletes what goes with it.
    pub(super) deleted: fn(&mut Call, &Value) -> Result<(), Refusal>,
}

/// A kind without anything special.
pub(super) const PLAIN: Resource = Resource {
    collection: "",
    object: "",
    prefix: "",
    permission: "",
    events: "",
    is_single: false,
    columns: &[],
    indexed: &[],
    filters: &[],
    shows: |_, _, _, _| true,
    hidden: &[],
    once: &[],
    aside: &[],
    blank: None,
    settle: |_, _, _| Ok(()),
    leaves_stub: false,
    deleted: |_, _| Ok(()),
};

/// The kind of a collection.
pub(super) fn named(collection: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| resource.collection == collection)
}

/// How a parameter of a list chooses.
#[derive(Debug)]
pub(super) enum Filter {
    /// Those whose field is it.
    Is(&'static str),
    /// Those whose field is it, in capitals or not.
    IsInAnyCase(&'static str),
    /// Those whose field is it, or begins with it, where it ends with `*`.
    Like(&'static str),
    /// Those whose field is one of it.
    In(&'static str),
    /// Those whose number is 0, if it is true, or another, if it is false.
    IsZero(&'static str),
    /// What the resource's `shows` looks at.
    Seen,
}

impl Filter {
    pub(super) fn takes(&self, resource: &Resource, row: &Row, wish: &Value) -> bool {
        match self {
            Self::Is(pointer) => row.column(resource, pointer) == wish,
            Self::In(pointer) => {
                let column = row.column(resource, pointer);
                wish.as_array().is_some_and(|wishes| wishes.contains(column))
            }
            Self::IsZero(pointer) => *wish == json!(*row.column(resource, pointer) == 0),
            Self::IsInAnyCase(pointer) => match (row.column(resource, pointer), wish) {
                (Value::String(field), Value::String(wish)) => field.eq_ignore_ascii_case(wish),
                _ => false,
            },
            Self::Like(pointer) => match (row.column(resource, pointer), wish) {
                (Value::String(field), Value::String(wish)) => match wish.strip_suffix('*') {
                    Some(start) => field.starts_with(start),
                    None => field == wish,
                },
                _ => false,
            },
            Self::Seen => true,
        }
    }
}

/// Lists leave out what is on a test clock, unless that clock is asked for.
pub(super) fn on_wished_clock(resource: &Resource, row: &Row, params: &Map<String, Value>) -> bool {
    let clock = row.column(resource, "/test_clock");
    params
        .get("test_clock")
        .map_or(clock.is_null(), |wished| wished == clock)
}
