//! The packs that lines sell: the line items of a checkout session, and one-off lines of an
//! invoice.

use super::json::JsonObject;
use crate::{
    domain::fact::Grant,
    failure::{Permanent, Refusal},
};
use shared::catalog::{Catalog, Pack, PriceClues};

/// One line that sold something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoldLine<'a> {
    /// The number of pieces.
    pub quantity: i64,
    /// Stripe's price id.
    pub price: Option<&'a str>,
    /// What it says about its price, with `metadata.pack`.
    pub clues: PriceClues<'a>,
}

/// What the line items of a session sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SoldLines {
    /// These packs: one entry for each pack.
    Packs(Vec<Grant>),
    /// Nothing but products of `ignored_products`.
    OtherProduct,
}

/// What the line items of a paid session sold. Lines that are no packs are ignored beside
/// packs.
///
/// # Errors
/// If no line is of a pack, or a quantity makes no sense.
pub fn sold(lines: &[SoldLine<'_>], catalog: &Catalog) -> Result<SoldLines, Refusal> {
    let is_ignored = |line: &SoldLine<'_>| line.clues.product.is_some_and(|id| catalog.ignores_product(id));
    if !lines.is_empty() && lines.iter().all(is_ignored) {
        return Ok(SoldLines::OtherProduct);
    }
    let mut sold: Vec<(&Pack, i64)> = Vec::new();
    for line in lines {
        let Some(pack) = catalog.resolve_pack(line.clues) else {
            continue;
        };
        let place = sold.iter().position(|(other, _)| *other == pack).unwrap_or_else(|| {
            sold.push((pack, 0));
            sold.len() - 1
        });
        let pieces = &mut sold[place].1;
        *pieces = match pieces.checked_add(line.quantity) {
            Some(sum) if line.quantity >= 1 => sum,
            _ => return Err(unknown(&format!("a line has quantity {}", line.quantity))),
        };
    }
    if sold.is_empty() {
        return Err(no_pack(lines));
    }
    let grants = sold.into_iter().map(|(pack, pieces)| {
        grant(pack, pieces).ok_or_else(|| unknown(&format!("it sold {pieces} pieces of '{}'", pack.name)))
    });
    grants.collect::<Result<_, _>>().map(SoldLines::Packs)
}

/// The credits of `pieces` packs; `None` if they are too many for a number.
pub(super) fn grant(pack: &Pack, pieces: i64) -> Option<Grant> {
    Some(Grant {
        pack: pack.name.clone(),
        meter: pack.meter.clone(),
        credits: pack.credits.checked_mul(pieces)?,
    })
}

fn no_pack(lines: &[SoldLine<'_>]) -> Refusal {
    let name = |line: &SoldLine<'_>| {
        let or_none = |text: Option<&str>| text.unwrap_or("none").to_owned();
        format!(
            "price {} (lookup key: {}, metadata.pack: {}, product: {})",
            or_none(line.price),
            or_none(line.clues.lookup_key),
            or_none(line.clues.metadata),
            or_none(line.clues.product)
        )
    };
    if lines.is_empty() {
        return unknown("it has no line items");
    }
    let names: Vec<String> = lines.iter().map(name).collect();
    unknown(&format!("the catalog has no pack for {}", names.join(", ")))
}

/// The refusal of a session whose line items show no pack.
#[must_use]
pub fn unknown(why: &str) -> Refusal {
    let detail = format!(
        "the session was paid, and neither its metadata with its price nor its line items show the packs that it sold: {why}; give the price a lookup key or a metadata.pack that is a pack of CATALOG_FILE, or add the pack or the product there (or the product to ignored_products) and restart the workers, then replay"
    );
    Refusal::new(Permanent::UnknownPack, detail)
}

/// What an object says of the price `price`, or of the plan `price`.
pub(super) fn clues_of(price: JsonObject<'_>) -> Result<PriceClues<'_>, Refusal> {
    let metadata = price.metadata("price.metadata")?;
    Ok(PriceClues {
        lookup_key: price.text("lookup_key")?,
        metadata: metadata.map_or(Ok(None), |m| m.text("pack"))?,
        product: price.id("product")?,
        interval: None,
    })
}
