//! Asks Stripe for the line items of a paid session that names no pack. It asks before the
//! transaction, never inside it.

use crate::{
    consume::{
        context::Context,
        delivery::{Delivery, Disposition, Interrupted},
    },
    domain::fact::{Fact, FactBody, Grant},
    failure::{Permanent, Refusal},
    read::meaning::Meaning,
};
use futures_util::{StreamExt, stream};
use shared::{catalog::Catalog, shutdown::CancellationToken};
use stripe_api::{Api, ApiError, LineItem, TIME_LIMIT};
use tokio::time::{Instant, timeout_at};

/// Most requests to Stripe that one lane makes at the same time.
const REQUESTS_MAX: usize = 4;

fn needs_lookup(delivery: &Delivery) -> bool {
    matches!(delivery.message.meaning, Ok(Meaning::NeedsLookup(_)))
}

/// Splits a batch into two parts, and leaves out an empty one. Deliveries that need a
/// look-up are the second part, so that the others do not wait for Stripe's answers.
pub(crate) fn parts(batch: Vec<Delivery>) -> impl Iterator<Item = Vec<Delivery>> {
    let (needing, ready): (Vec<Delivery>, Vec<Delivery>) = batch.into_iter().partition(needs_lookup);
    [ready, needing].into_iter().filter(|part| !part.is_empty())
}

impl Context {
    /// Asks Stripe for the line items that the sessions of a batch lack, if there is a key.
    /// The whole batch has one time limit, because the next batch waits for it. Returns
    /// the deliveries to apply, and those whose look-up failed with their dispositions.
    pub(crate) async fn look_up(
        &self,
        batch: Vec<Delivery>,
        stop: &CancellationToken,
    ) -> Result<(Vec<Delivery>, Vec<(Delivery, Disposition)>), Interrupted> {
        let (Some(api), true) = (&self.stripe, batch.iter().any(needs_lookup)) else {
            return Ok((batch, Vec::new()));
        };
        let until = Instant::now() + TIME_LIMIT;
        let answers = stream::iter(batch)
            .map(|delivery| self.look_up_one(api, delivery, until))
            .buffer_unordered(REQUESTS_MAX)
            .collect::<Vec<_>>();
        let answers = tokio::select! {
            answers = answers => answers,
            () = stop.cancelled() => return Err(Interrupted),
        };
        let (mut ready, mut failed) = (Vec::new(), Vec::new());
        for (delivery, disposition) in answers {
            match disposition {
                Some(disposition) => failed.push((delivery, disposition)),
                None => ready.push(delivery),
            }
        }
        Ok((ready, failed))
    }

    /// Completes one delivery with Stripe's answer. Without an answer it returns a
    /// disposition too.
    async fn look_up_one(&self, api: &Api, mut delivery: Delivery, until: Instant) -> (Delivery, Option<Disposition>) {
        let Ok(Meaning::NeedsLookup(lookup)) = &delivery.message.meaning else {
            return (delivery, None);
        };
        let FactBody::Session(session) = &lookup.fact.body else {
            return (delivery, None);
        };
        // The look-ups before it took all the time, so no attempt is counted.
        if Instant::now() >= until
            && let Some(delay) = self.topology.retry_delays().first()
        {
            let later = Disposition::Retry {
                delay: *delay,
                meta: delivery.message.meta,
                error: "Stripe is slow; no attempt is counted".to_owned(),
            };
            return (delivery, Some(later));
        }
        let answer = timeout_at(until, api.line_items(&session.session)).await;
        let meaning = match answer.unwrap_or(Err(ApiError::TooSlow)) {
            Ok(lines) => bought(&lines, &self.reader.catalog).map(|grant| complete(lookup.fact.clone(), grant)),
            Err(error @ (ApiError::NotFound | ApiError::NoId)) => Err(unknown(&error.to_string())),
            Err(error) => {
                let disposition = self.failed(&delivery.message, error);
                return (delivery, Some(disposition));
            }
        };
        delivery.message.meaning = meaning.map_err(Refusal::brief);
        (delivery, None)
    }
}

/// The fact of a session with the grant that its line items show.
fn complete(mut fact: Fact, grant: Grant) -> Meaning {
    if let FactBody::Session(session) = &mut fact.body {
        session.grants = vec![grant];
    }
    Meaning::Fact(Box::new(fact))
}

/// The grant of a session with these line items. All of them must be of the same pack,
/// because a session has one grant; their quantities are added. The pack of a price is its
/// `metadata.pack` if the catalog has that pack, or else its lookup key.
fn bought(lines: &[LineItem], catalog: &Catalog) -> Result<Grant, Refusal> {
    let mut sold = None;
    let mut pieces: i64 = 0;
    for line in lines {
        let price = line.price.as_ref();
        let named = price.and_then(|p| p.metadata.as_ref()?.get("pack"));
        let key = price.and_then(|p| p.lookup_key.as_ref());
        let Some(pack) = named.into_iter().chain(key).find_map(|name| catalog.pack(name)) else {
            let or_none = |text: Option<&String>| text.map_or("none", String::as_str).to_owned();
            return Err(unknown(&format!(
                "the catalog has no pack for price {} (metadata.pack: {}, lookup key: {})",
                or_none(price.and_then(|p| p.id.as_ref())),
                or_none(named),
                or_none(key)
            )));
        };
        let first = *sold.get_or_insert(pack);
        if first != pack {
            return Err(unknown(&format!("it sold '{}' and '{}'", first.name, pack.name)));
        }
        let quantity = line.quantity.unwrap_or(1);
        pieces = match pieces.checked_add(quantity) {
            Some(sum) if quantity >= 1 => sum,
            _ => return Err(unknown(&format!("a line has quantity {quantity}"))),
        };
    }
    let pack = sold.ok_or_else(|| unknown("it has no line items"))?;
    let credits = pack.credits.checked_mul(pieces);
    Ok(Grant {
        pack: pack.name.clone(),
        meter: pack.meter.clone(),
        credits: credits.ok_or_else(|| unknown(&format!("it sold {pieces} pieces")))?,
    })
}

fn unknown(why: &str) -> Refusal {
    let detail = format!(
        "the session was paid and names no pack, and its line items do not show one: {why}; give the price a metadata.pack or a lookup key that is a pack of CATALOG_FILE (or add the pack there and restart the workers), then replay"
    );
    Refusal::new(Permanent::UnknownPack, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stripe_api::LineItemPrice;

    fn catalog() -> Catalog {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/catalog.toml");
        Catalog::load(path.as_ref()).expect("the shipped catalog")
    }

    fn line(quantity: impl Into<Option<i64>>, named: Option<&str>, key: Option<&str>) -> LineItem {
        LineItem {
            quantity: quantity.into(),
            price: Some(LineItemPrice {
                id: Some("price_1".to_owned()),
                lookup_key: key.map(str::to_owned),
                metadata: named.map(|pack| [("pack".to_owned(), pack.to_owned())].into()),
            }),
        }
    }

    #[test]
    fn lines_of_one_pack_add_up() {
        let (tokens, voice) = (Some("tokens_5m"), Some("voice_500k"));
        for (lines, expected) in [
            (vec![line(1, tokens, None)], ("tokens_5m", "tokens", 5_000_000)),
            (vec![line(None, None, voice)], ("voice_500k", "voice_chars", 500_000)),
            (vec![line(3, None, tokens)], ("tokens_5m", "tokens", 15_000_000)),
            // The first name that the catalog has.
            (vec![line(1, voice, tokens)], ("voice_500k", "voice_chars", 500_000)),
            (vec![line(1, Some("gold"), tokens)], ("tokens_5m", "tokens", 5_000_000)),
            (
                vec![line(2, None, tokens), line(1, tokens, Some("spring"))],
                ("tokens_5m", "tokens", 15_000_000),
            ),
        ] {
            let grant = bought(&lines, &catalog()).expect("one pack");
            assert_eq!((grant.pack.as_str(), grant.meter.as_str(), grant.credits), expected);
        }
    }

    #[test]
    fn lines_that_are_not_of_one_known_pack_are_refused_with_their_reason() {
        let (tokens, voice) = (Some("tokens_5m"), Some("voice_500k"));
        let priceless = LineItem {
            quantity: Some(1),
            price: None,
        };
        for (lines, why) in [
            (vec![], "no line items"),
            (vec![priceless], "price none (metadata.pack: none, lookup key: none)"),
            (
                vec![line(1, Some("gold"), Some("spring"))],
                "metadata.pack: gold, lookup key: spring",
            ),
            (
                vec![line(1, tokens, None), line(1, None, None)],
                "no pack for price price_1",
            ),
            (
                vec![line(1, tokens, None), line(1, voice, None)],
                "'tokens_5m' and 'voice_500k'",
            ),
            (vec![line(0, tokens, None)], "quantity 0"),
            (vec![line(-1, tokens, None)], "quantity -1"),
            (vec![line(i64::MAX, tokens, None)], "pieces"),
            (vec![line(1, tokens, None), line(i64::MAX, tokens, None)], "quantity"),
        ] {
            let refusal = bought(&lines, &catalog()).expect_err(why);
            assert_eq!(refusal.reason, Permanent::UnknownPack);
            assert!(
                refusal.detail.contains(why) && refusal.detail.contains("replay"),
                "{}",
                refusal.detail
            );
        }
    }
}
