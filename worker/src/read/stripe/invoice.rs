//! Reads `invoice.*`, `invoiceitem.created` and `invoice_payment.paid`, in the shapes before
//! and since API version 2025-03-31. That version moved the subscription of an invoice below
//! `parent`, the price of a line below `pricing`, and the payments to objects of their own.

use super::{json::JsonObject, lines, subscription::request};
use crate::{
    domain::{
        fact::{
            BillingReason, Grant, InvoiceFact, InvoiceItemFact, InvoiceLine, InvoicePaymentFact, InvoiceStep, Period,
        },
        ids::SubscriptionId,
    },
    failure::Refusal,
};
use shared::catalog::{Catalog, PriceClues};

/// The fact of an invoice; `None` if all its lines are of `ignored_products`.
pub(super) fn read(
    step: InvoiceStep,
    event: JsonObject<'_>,
    object: JsonObject<'_>,
    catalog: &Catalog,
) -> Result<Option<InvoiceFact>, Refusal> {
    let (shown, lines_cut) = object.page("lines", "data.object.lines.data[]")?;
    let mut lines = Vec::with_capacity(shown.len());
    let mut are_ignored = !lines_cut && !shown.is_empty();
    for shown in shown {
        let price = LinePrice::of(shown)?;
        are_ignored &= price.is_ignored(catalog);
        lines.push(line(shown, price, catalog)?);
    }
    if are_ignored {
        return Ok(None);
    }
    let issuer = object.object("issuer", "data.object.issuer")?;
    let (payment_intent, charge) = payment(object)?;
    Ok(Some(InvoiceFact {
        invoice: object.own_id()?.to_owned(),
        step,
        subscription: subscription(object)?,
        billing_reason: BillingReason(object.text("billing_reason")?.map(str::to_owned)),
        total: object.number("total")?.unwrap_or_default(),
        period: period(object, "period_start", "period_end")?,
        lines,
        lines_cut,
        payment_intent,
        charge,
        issued_by_self: issuer.map_or(Ok(None), |i| i.text("type"))? == Some("self"),
        request: request(event)?,
    }))
}

/// The fact of an invoice item; `None` if its product is one of `ignored_products`.
pub(super) fn read_item(
    event: JsonObject<'_>,
    object: JsonObject<'_>,
    catalog: &Catalog,
) -> Result<Option<InvoiceItemFact>, Refusal> {
    if LinePrice::of(object)?.is_ignored(catalog) {
        return Ok(None);
    }
    Ok(Some(InvoiceItemFact {
        item: object.own_id()?.to_owned(),
        subscription: subscription(object)?,
        amount: object.number("amount")?.unwrap_or_default(),
        proration: object.flag("proration")?,
        request: request(event)?,
    }))
}

pub(super) fn read_payment(object: JsonObject<'_>) -> Result<InvoicePaymentFact, Refusal> {
    let invoice = object.id("invoice")?;
    let payment = object.object("payment", "data.object.payment")?;
    let id = |key| payment.map_or(Ok(None), |p| p.id(key));
    Ok(InvoicePaymentFact {
        invoice: invoice
            .ok_or_else(|| Refusal::malformed("data.object.invoice is missing"))?
            .to_owned(),
        payment_intent: id("payment_intent")?.map(str::to_owned),
        charge: id("charge")?.map(str::to_owned),
    })
}

/// The payment intent and the charge: `payment_intent` and `charge`, or those of
/// `payments.data[].payment`. Of several payments the first paid one counts.
fn payment(object: JsonObject<'_>) -> Result<(Option<String>, Option<String>), Refusal> {
    let ids = |holder: JsonObject<'_>| -> Result<_, Refusal> {
        let id = |key| Ok(holder.id(key)?.map(str::to_owned));
        Ok((id("payment_intent")?, id("charge")?))
    };
    let own = ids(object)?;
    if own != (None, None) {
        return Ok(own);
    }
    for made in object.list("payments", "data.object.payments.data[]")? {
        if made.text("status")? == Some("paid")
            && let Some(payment) = made.object("payment", "data.object.payments.data[].payment")?
        {
            return ids(payment);
        }
    }
    Ok(own)
}

/// `subscription`, or `parent.subscription_details.subscription`.
fn subscription(object: JsonObject<'_>) -> Result<Option<SubscriptionId>, Refusal> {
    if let Some(id) = object.id("subscription")? {
        return Ok(Some(SubscriptionId::new(id)));
    }
    let Some(parent) = object.object("parent", "data.object.parent")? else {
        return Ok(None);
    };
    let details = parent.object("subscription_details", "data.object.parent.subscription_details")?;
    Ok(details
        .map_or(Ok(None), |d| d.id("subscription"))?
        .map(SubscriptionId::new))
}

/// The price of a line.
#[derive(Clone, Copy, Default)]
struct LinePrice<'a> {
    id: Option<&'a str>,
    clues: PriceClues<'a>,
}

impl<'a> LinePrice<'a> {
    /// The `price` of a line, its `plan`, or `pricing.price_details` with the ids of a price
    /// and a product.
    fn of(line: JsonObject<'a>) -> Result<Self, Refusal> {
        for (key, name) in [("price", "the line's price"), ("plan", "the line's plan")] {
            if let Some(price) = line.object(key, name)? {
                return Self::of_object(price);
            }
        }
        let pricing = line.object("pricing", "the line's pricing")?;
        let details = pricing.map_or(Ok(None), |p| {
            p.object("price_details", "the line's pricing.price_details")
        })?;
        let Some(details) = details else {
            return Ok(Self::default());
        };
        if let Ok(Some(price)) = details.object("price", "the line's pricing.price_details.price") {
            return Self::of_object(price);
        }
        let clues = PriceClues {
            product: details.id("product")?,
            ..PriceClues::default()
        };
        let id = details.id("price")?;
        Ok(Self { id, clues })
    }

    fn of_object(price: JsonObject<'a>) -> Result<Self, Refusal> {
        let (id, clues) = (price.id("id")?, lines::clues_of(price)?);
        Ok(Self { id, clues })
    }

    fn is_ignored(&self, catalog: &Catalog) -> bool {
        self.clues.product.is_some_and(|id| catalog.ignores_product(id))
    }
}

fn line(line: JsonObject<'_>, price: LinePrice<'_>, catalog: &Catalog) -> Result<InvoiceLine, Refusal> {
    let span = line.object("period", "data.object.lines.data[].period")?;
    let parent = LineParent::of(line)?;
    let amount = line.number("amount")?.unwrap_or_default();
    let is_one_off = parent.item.is_none() && !parent.proration && line.text("type")? != Some("subscription");
    Ok(InvoiceLine {
        item: parent.item.map(str::to_owned),
        price: price.id.map(str::to_owned),
        amount,
        proration: parent.proration,
        period: span.map_or(Ok(None), |s| period(s, "start", "end"))?,
        grant: if is_one_off && amount >= 0 {
            pack_of(line, price, catalog)?
        } else {
            None
        },
    })
}

/// The credits that a one-off line sells, if its price is that of a pack.
fn pack_of(line: JsonObject<'_>, price: LinePrice<'_>, catalog: &Catalog) -> Result<Option<Grant>, Refusal> {
    let Some(pack) = catalog.resolve_pack(price.clues) else {
        return Ok(None);
    };
    let quantity = line.number("quantity")?.unwrap_or(1);
    let grant = Some(quantity)
        .filter(|q| *q >= 1)
        .and_then(|quantity| lines::grant(pack, quantity));
    grant.map(Some).ok_or_else(|| {
        Refusal::malformed("data.object.lines.data[].quantity of a pack is not a whole number of packs, 1 or more")
    })
}

/// What a line bills: `subscription_item` and `proration`, or the same in
/// `parent.subscription_item_details` or `parent.invoice_item_details`.
#[derive(Default)]
struct LineParent<'a> {
    item: Option<&'a str>,
    proration: bool,
}

impl<'a> LineParent<'a> {
    fn of(line: JsonObject<'a>) -> Result<Self, Refusal> {
        let mut read = Self {
            item: line.id("subscription_item")?,
            proration: line.flag("proration")?,
        };
        let Some(parent) = line.object("parent", "data.object.lines.data[].parent")? else {
            return Ok(read);
        };
        for key in ["subscription_item_details", "invoice_item_details"] {
            if let Some(details) = parent.object(key, "data.object.lines.data[].parent details")? {
                read.item = read.item.or(details.id("subscription_item")?);
                read.proration |= details.flag("proration")?;
            }
        }
        Ok(read)
    }
}

fn period(object: JsonObject<'_>, start: &str, end: &str) -> Result<Option<Period>, Refusal> {
    Ok(object
        .seconds(start)?
        .zip(object.seconds(end)?)
        .map(|(start, end)| Period { start, end }))
}
