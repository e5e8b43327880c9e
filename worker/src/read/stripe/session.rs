//! Reads `checkout.session.*`.

use super::{
    json::JsonObject,
    lines::{self, SoldLine, SoldLines},
};
use crate::{
    domain::{
        fact::{Grant, SessionFact, SessionStep},
        ids::SubscriptionId,
    },
    failure::{Permanent, Refusal},
};
use shared::catalog::{Catalog, Pack, PriceClues};

/// What an event says of a session.
pub(super) enum ReadSession {
    /// All that we need.
    Whole(SessionFact),
    /// Only its line items show what it sold, and the event does not have them. The refusal
    /// applies if Stripe cannot be asked.
    NeedsLines(SessionFact, Refusal),
    /// It is not about us, for this reason.
    Ignored(&'static str),
}

/// What a paid session sold, as far as its event shows it.
enum SoldPacks {
    These(Vec<Grant>),
    SeeLines(Refusal),
    OtherProduct,
}

pub(super) fn read(step: SessionStep, object: JsonObject<'_>, catalog: &Catalog) -> Result<ReadSession, Refusal> {
    let mode = object.required_text("mode")?.to_owned();
    let payment_status = object.text("payment_status")?.unwrap_or_default().to_owned();
    let (user, reference) = (object.metadata_user()?, object.user("client_reference_id")?);
    let is_sale = sells(step, &mode, &payment_status);
    if mode == "payment" && user.is_none() && reference.is_none() && metadata_text(object, "pack")?.is_none() {
        return Ok(ReadSession::Ignored("no_user"));
    }
    let mut fact = SessionFact {
        session: object.own_id()?.to_owned(),
        step,
        mode,
        payment_status,
        subscription: object.id("subscription")?.map(SubscriptionId::new),
        user,
        reference,
        payment_intent: object.id("payment_intent")?.map(str::to_owned),
        amount_total: object.number("amount_total")?,
        currency: object.text("currency")?.map(str::to_owned),
        invoice: object.id("invoice")?.map(str::to_owned),
        grants: Vec::new(),
    };
    if !is_sale {
        return Ok(ReadSession::Whole(fact));
    }
    Ok(match sold(object, catalog)? {
        SoldPacks::These(grants) => {
            fact.grants = grants;
            ReadSession::Whole(fact)
        }
        SoldPacks::SeeLines(unanswered) => ReadSession::NeedsLines(fact, unanswered),
        SoldPacks::OtherProduct => ReadSession::Ignored("other_product"),
    })
}

/// Whether a session sold credits by itself: it is a paid one-time payment. A pack that is
/// sold with a subscription is a line of its first invoice.
fn sells(step: SessionStep, mode: &str, payment_status: &str) -> bool {
    let paid = match step {
        SessionStep::Completed => matches!(payment_status, "paid" | "no_payment_required"),
        SessionStep::PaymentSucceeded => true,
        SessionStep::PaymentFailed | SessionStep::Expired => false,
    };
    paid && mode == "payment"
}

/// A text of the session's metadata; an empty one is none.
fn metadata_text<'a>(object: JsonObject<'a>, key: &str) -> Result<Option<&'a str>, Refusal> {
    let metadata = object.metadata("data.object.metadata")?;
    let text = metadata.map_or(Ok(None), |m| m.text(key))?;
    Ok(text.filter(|text| !text.is_empty()))
}

fn sold(object: JsonObject<'_>, catalog: &Catalog) -> Result<SoldPacks, Refusal> {
    let Some(name) = metadata_text(object, "pack")? else {
        return by_lines(object, catalog, "does not name its pack");
    };
    let pack = catalog.pack(name).ok_or_else(|| {
        let detail = format!(
            "the catalog has no pack '{name}'; set metadata.pack of the session to a pack of CATALOG_FILE (or add the pack there and restart the workers), then replay"
        );
        Refusal::new(Permanent::UnknownPack, detail)
    })?;
    let pieces = match pieces_paid(pack, object)? {
        PaidPieces::Some(pieces) => pieces,
        PaidPieces::Unknown => pieces_named(object)?,
        PaidPieces::NoMultiple => {
            return by_lines(object, catalog, "costs no whole multiple of the price of its pack");
        }
    };
    let grant = lines::grant(pack, pieces).ok_or_else(bad_quantity)?;
    Ok(SoldPacks::These(vec![grant]))
}

/// The number of packs that the money paid for. Customers may change the quantity in the
/// checkout.
enum PaidPieces {
    /// So many.
    Some(i64),
    /// The catalog does not know the pack's price in this currency, or the event no amount.
    Unknown,
    /// More was sold than this pack.
    NoMultiple,
}

fn pieces_paid(pack: &Pack, object: JsonObject<'_>) -> Result<PaidPieces, Refusal> {
    let same_currency = object.text("currency")? == Some(pack.currency.as_str());
    let Some(paid) = object
        .number("amount_subtotal")?
        .filter(|_| same_currency && pack.amount > 0)
    else {
        return Ok(PaidPieces::Unknown);
    };
    if paid > 0 && paid % pack.amount == 0 {
        return Ok(PaidPieces::Some(paid / pack.amount));
    }
    Ok(PaidPieces::NoMultiple)
}

/// `metadata.quantity`; 1 if it is absent.
fn pieces_named(object: JsonObject<'_>) -> Result<i64, Refusal> {
    let metadata = object.metadata("data.object.metadata")?;
    let quantity = metadata.map_or(Ok(None), |m| m.text("quantity"))?;
    let pieces = quantity.map_or(Ok(1), str::parse::<i64>).ok();
    pieces.filter(|pieces| *pieces >= 1).ok_or_else(bad_quantity)
}

fn bad_quantity() -> Refusal {
    Refusal::malformed("data.object.metadata.quantity is not a whole number of packs, 1 or more")
}

/// The packs of the line items, if the event has all of them. Stripe sends them only in
/// expanded objects.
fn by_lines(object: JsonObject<'_>, catalog: &Catalog, why: &str) -> Result<SoldPacks, Refusal> {
    let (items, has_more) = object.page("line_items", "data.object.line_items.data[]")?;
    if items.is_empty() || has_more {
        let detail = format!(
            "the session was paid, but {why}; set STRIPE_SECRET_KEY and restart the workers, so that its line items are read (or set metadata.pack of your sessions to the one pack that they sell), then replay"
        );
        return Ok(SoldPacks::SeeLines(Refusal::new(Permanent::UnknownPack, detail)));
    }
    let lines: Vec<SoldLine<'_>> = items.into_iter().map(line).collect::<Result<_, _>>()?;
    Ok(match lines::sold(&lines, catalog)? {
        SoldLines::Packs(grants) => SoldPacks::These(grants),
        SoldLines::OtherProduct => SoldPacks::OtherProduct,
    })
}

fn line(line: JsonObject<'_>) -> Result<SoldLine<'_>, Refusal> {
    let price = line.object("price", "data.object.line_items.data[].price")?;
    Ok(SoldLine {
        quantity: line.number("quantity")?.unwrap_or(1),
        price: price.map_or(Ok(None), |p| p.id("id"))?,
        clues: price.map_or(Ok(PriceClues::default()), lines::clues_of)?,
    })
}
