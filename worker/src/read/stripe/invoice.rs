//! Reads `invoice.*` and `invoiceitem.created`, in the shapes before and since API version
//! 2025-03-31. That version moved the subscription of an invoice below `parent`.

use super::{json::JsonObject, subscription::request};
use crate::{
    domain::{
        fact::{InvoiceFact, InvoiceItemFact, InvoiceLine, InvoiceStep, Period},
        ids::SubscriptionId,
    },
    failure::Refusal,
};

pub(super) fn read(step: InvoiceStep, event: JsonObject<'_>, object: JsonObject<'_>) -> Result<InvoiceFact, Refusal> {
    let lines = object.list("lines", "data.object.lines.data[]")?;
    let issuer = object.object("issuer", "data.object.issuer")?;
    Ok(InvoiceFact {
        invoice: object.own_id()?.to_owned(),
        step,
        subscription: subscription(object)?,
        billing_reason: object.text("billing_reason")?.map(str::to_owned),
        total: object.number("total")?.unwrap_or_default(),
        period: period(object, "period_start", "period_end")?,
        lines: lines.into_iter().map(line).collect::<Result<_, _>>()?,
        lines_cut: false,
        payment_intent: object.id("payment_intent")?.map(str::to_owned),
        charge: object.id("charge")?.map(str::to_owned),
        issued_by_self: issuer.map_or(Ok(None), |i| i.text("type"))? == Some("self"),
        request: request(event)?,
    })
}

pub(super) fn read_item(event: JsonObject<'_>, object: JsonObject<'_>) -> Result<InvoiceItemFact, Refusal> {
    Ok(InvoiceItemFact {
        item: object.own_id()?.to_owned(),
        subscription: subscription(object)?,
        amount: object.number("amount")?.unwrap_or_default(),
        proration: object.flag("proration")?,
        request: request(event)?,
    })
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

fn line(line: JsonObject<'_>) -> Result<InvoiceLine, Refusal> {
    let span = line.object("period", "data.object.lines.data[].period")?;
    Ok(InvoiceLine {
        item: None,
        price: None,
        grant: None,
        amount: line.number("amount")?.unwrap_or_default(),
        proration: line.flag("proration")? || parent_proration(line)?,
        period: span.map_or(Ok(None), |s| period(s, "start", "end"))?,
    })
}

/// `parent.subscription_item_details.proration` or `parent.invoice_item_details.proration`.
fn parent_proration(line: JsonObject<'_>) -> Result<bool, Refusal> {
    let Some(parent) = line.object("parent", "data.object.lines.data[].parent")? else {
        return Ok(false);
    };
    for key in ["subscription_item_details", "invoice_item_details"] {
        if let Some(details) = parent.object(key, "data.object.lines.data[].parent details")?
            && details.flag("proration")?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn period(object: JsonObject<'_>, start: &str, end: &str) -> Result<Option<Period>, Refusal> {
    Ok(object
        .seconds(start)?
        .zip(object.seconds(end)?)
        .map(|(start, end)| Period { start, end }))
}
