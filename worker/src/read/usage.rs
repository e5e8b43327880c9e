//! Reads a usage report, and computes its units with the catalog's weights.

use crate::{
    domain::{
        balance::usage::Usage,
        ids::{EventId, UserId},
    },
    failure::{Permanent, Refusal},
    read::meaning::{Envelope, Meaning, hash_id},
};
use shared::{
    catalog::{Catalog, Meter},
    usage::{AMOUNT_MAX, Amount, USAGE_TYPE, UsageEvent},
};

/// Reads a usage report. A refused one has an envelope too, so that it can be recorded and
/// found. A report without a time counts for the time when ingest received it, and so does one
/// whose time lies ahead: else it would count in each new period until then.
pub fn read(body: &[u8], received_at_ms: Option<i64>, catalog: &Catalog) -> (Envelope, Result<Meaning, Refusal>) {
    let mut envelope = Envelope {
        id: hash_id(body),
        kind: USAGE_TYPE.to_owned(),
        created: None,
    };
    let event = match UsageEvent::read(body) {
        Ok(event) => event,
        Err(error) => return (envelope, Err(Refusal::malformed(error.to_string()))),
    };
    envelope.id = EventId::new(event.key());
    let received_at = received_at_ms.map(|ms| ms.div_euclid(1_000));
    envelope.created = match (event.time, received_at) {
        (Some(time), Some(received_at)) => Some(time.min(received_at)),
        (time, received_at) => time.or(received_at),
    };
    let meaning = weighted(event, envelope.created, catalog);
    (envelope, meaning)
}

fn weighted(event: UsageEvent, time: Option<i64>, catalog: &Catalog) -> Result<Meaning, Refusal> {
    let Some(meter) = catalog.meter(&event.meter) else {
        let detail = format!(
            "data.meter: the catalog has no meter '{}'; add it to CATALOG_FILE and restart the workers, or correct the reporter, then replay",
            event.meter
        );
        return Err(Refusal::new(Permanent::UnknownMeter, detail));
    };
    let time = time.ok_or_else(|| Refusal::malformed("time: is missing, and the message has no time of receipt"))?;
    Ok(Meaning::Usage(Box::new(Usage {
        key: event.key(),
        user: UserId::new(event.subject),
        meter: event.meter,
        amount: units(&event.what, meter)?,
        time,
    })))
}

/// The units of an amount. Of quantities: Σ quantity × weight, [`AMOUNT_MAX`] at most.
fn units(what: &Amount, meter: &Meter) -> Result<i64, Refusal> {
    let quantities = match what {
        Amount::Units(units) => return Ok(*units),
        Amount::Quantities(quantities) => quantities,
    };
    quantities.iter().try_fold(0_i64, |sum, (kind, quantity)| {
        let weight = meter.weights.get(kind).ok_or_else(|| {
            Refusal::malformed(format!(
                "data.quantities.{kind}: the catalog has no such weight for the meter {}; add it to CATALOG_FILE and restart the workers, or correct the reporter, then replay",
                meter.name
            ))
        })?;
        let more = quantity.checked_mul(*weight).and_then(|units| sum.checked_add(units));
        more.filter(|units| *units <= AMOUNT_MAX).ok_or_else(|| {
            let detail = format!("data.quantities: weighted, they are more than {AMOUNT_MAX}; correct the reporter");
            Refusal::malformed(detail)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../deploy/catalog.toml");

    fn read_data(data: &str) -> Result<Meaning, Refusal> {
        let body =
            format!(r#"{{"specversion":"1.0","type":"usage","source":"app","id":"1","subject":"u1","data":{data}}}"#);
        let catalog = Catalog::parse(SHIPPED).expect("the shipped catalog");
        let (envelope, meaning) = read(body.as_bytes(), Some(1_700_000_000_999), &catalog);
        assert_eq!((envelope.id.as_str(), envelope.kind.as_str()), ("app 1", "usage"));
        meaning
    }

    #[test]
    fn a_report_never_counts_after_its_receipt() {
        for (time, expected) in [
            // 1,700,000,000 is 2023-11-14T22:13:20Z.
            ("2023-11-14T22:13:20Z", 1_700_000_000),
            ("2023-11-01T00:00:00Z", 1_698_796_800),
            ("2024-12-18T00:00:00Z", 1_700_000_000),
        ] {
            let body = format!(
                r#"{{"specversion":"1.0","type":"usage","source":"app","id":"1","subject":"u1","time":"{time}","data":{{"meter":"tokens","amount":6}}}}"#
            );
            let catalog = Catalog::parse(SHIPPED).expect("the shipped catalog");
            let (envelope, meaning) = read(body.as_bytes(), Some(1_700_000_000_999), &catalog);
            let Ok(Meaning::Usage(usage)) = meaning else {
                panic!("{time}")
            };
            assert_eq!((envelope.created, usage.time), (Some(expected), expected), "{time}");
        }
    }

    #[test]
    fn quantities_are_weighted_by_the_catalog() {
        for (data, amount) in [
            (r#"{"meter":"tokens","amount":1200}"#, 1_200),
            (r#"{"meter":"tokens","amount":0}"#, 0),
            (r#"{"meter":"tokens","quantities":{"input":600,"output":100}}"#, 1_200),
            (r#"{"meter":"tokens","quantities":{"output":7}}"#, 42),
            (
                r#"{"meter":"tokens","quantities":{"output":1501199875790165}}"#,
                9_007_199_254_740_990,
            ),
        ] {
            let Ok(Meaning::Usage(usage)) = read_data(data) else {
                panic!("{data}")
            };
            assert_eq!((usage.amount, usage.time), (amount, 1_700_000_000), "{data}");
        }
    }

    #[test]
    fn a_meter_or_weight_that_the_catalog_does_not_have_is_refused_by_name() {
        for (data, reason, names) in [
            (r#"{"meter":"tea","amount":1}"#, Permanent::UnknownMeter, "'tea'"),
            (
                r#"{"meter":"tokens","quantities":{"inptu":1}}"#,
                Permanent::Malformed,
                "data.quantities.inptu",
            ),
            (
                r#"{"meter":"voice_chars","quantities":{"input":1}}"#,
                Permanent::Malformed,
                "data.quantities.input",
            ),
            (
                r#"{"meter":"tokens","quantities":{"output":1501199875790166}}"#,
                Permanent::Malformed,
                "more than 9007199254740991",
            ),
            (
                r#"{"meter":"tokens","quantities":{"input":9007199254740991,"output":1}}"#,
                Permanent::Malformed,
                "more than 9007199254740991",
            ),
        ] {
            let refusal = read_data(data).expect_err(data);
            assert_eq!(refusal.reason, reason, "{data}");
            assert!(refusal.detail.contains(names), "{data}: {}", refusal.detail);
        }
    }
}
