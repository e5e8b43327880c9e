//! The table of all kinds of objects that the stand-in has.

use super::object_kind::ObjectKind;
use super::objects::{
    account_settings, charge, checkout, coupon, customer, event, invoice, portal, price, product, promotion_code,
    subscription, test_clock, webhook_endpoint,
};

/// All kinds.
pub(super) static OBJECT_KINDS: [ObjectKind; 15] = [
    account_settings::ACCOUNT,
    account_settings::TAX_SETTINGS,
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

/// The kind of the objects at a path, and whether the path names a single object.
pub(super) fn kind_at(template: &str) -> Option<(&'static ObjectKind, bool)> {
    let path = template.strip_prefix("/v1/")?;
    let (collection, is_one) = match path.rsplit_once('/') {
        Some((collection, place)) if place.starts_with('{') => (collection, true),
        _ => (path, false),
    };
    let kind = OBJECT_KINDS.iter().find(|kind| kind.collection == collection)?;
    Some((kind, is_one))
}

/// The kind of objects whose permission a path needs.
pub(super) fn guarded_by(template: &str) -> Option<&'static ObjectKind> {
    let path = template.strip_prefix("/v1/")?;
    OBJECT_KINDS.iter().find(|kind| {
        let rest = path.strip_prefix(kind.collection);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}
