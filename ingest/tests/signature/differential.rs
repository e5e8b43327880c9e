//! Compares our verdicts with those of `async-stripe-webhook`, per secret. Only the signature
//! is compared, not how that crate reads the body.

use crate::{NOW, ROLLED, SECRET, STRANGER, sign};
use ingest::signature::{HEADER_BYTES_MAX, Secrets, verify};
use shared::settings::Settings;
use stripe_webhook::{Webhook, WebhookError};

const BODIES: [&str; 4] = ["{}", "", "not JSON", r#"{"id":"evt_1","created":1,"type":"x"}"#];
const ROUNDS: usize = 5_000;

/// Headers on which the two differ on purpose. Any other difference fails the test.
const DIFFERENCES: [(&str, Difference); 3] = [
    // We accept it, that crate refuses it. Some proxies add a space after a comma, and the PHP,
    // Ruby and .NET SDKs accept that too.
    ("whitespace around an item", |header| {
        header.split(',').any(|item| item != item.trim_ascii())
    }),
    // We refuse it, that crate uses the last time. The SDKs disagree on which one counts.
    ("a second time", |header| {
        header.split(',').filter(|item| item.starts_with("t=")).count() > 1
    }),
    // We refuse it without reading it.
    ("a huge header", |header| header.len() > HEADER_BYTES_MAX),
    // Timestamps near the ends of i64 are not compared: that crate's subtraction overflows, which
    // panics in debug builds. The table has our verdicts.
];
type Difference = fn(&str) -> bool;

fn ours(secret: &str, header: &str, body: &str) -> bool {
    verify(&Secrets::new(&[secret]), Some(header.as_bytes()), body.as_bytes(), NOW).is_ok()
}

fn theirs(secret: &str, header: &str, body: &str) -> bool {
    match Webhook::construct_event_with_timestamp(body, header, secret, NOW) {
        // It parses a body only after the signature has passed.
        Ok(_) | Err(WebhookError::BadParse(_)) => true,
        Err(_) => false,
    }
}

/// Compares the verdicts for each secret. `Some(passed)` if they are the same, `None` for a
/// header on which the two differ on purpose.
#[track_caller]
fn compare(context: &str, header: &str, body: &str) -> Option<bool> {
    if DIFFERENCES.iter().any(|(_, differs)| differs(header)) {
        return None;
    }
    let mut passed = false;
    for secret in [SECRET, ROLLED] {
        let verdict = ours(secret, header, body);
        assert_eq!(
            verdict,
            theirs(secret, header, body),
            "{context}: {secret}, {header:?}, {body:?}"
        );
        passed |= verdict;
    }
    Some(passed)
}

#[test]
fn each_listed_difference_is_real() {
    let good = sign(SECRET, NOW, b"{}");
    let padding = "x".repeat(HEADER_BYTES_MAX);
    for (header, expected) in [
        (format!("t={NOW}, v1={good}"), (true, false)),
        (format!("t=1,t={NOW},v1={good}"), (false, true)),
        (format!("t={NOW},v1={good},v9={padding}"), (false, true)),
    ] {
        assert_eq!(compare("", &header, "{}"), None, "{header}");
        assert_eq!((ours(SECRET, &header, "{}"), theirs(SECRET, &header, "{}")), expected);
    }
}

#[test]
fn verdicts_are_the_same_over_generated_headers() {
    // SEED=… replays a failure.
    let settings = Settings::from_process();
    let given = settings.variable("SEED").map(|seed| seed.parse().expect("a number"));
    let seed = given.unwrap_or_else(now_as_seed);
    let mut random = Random(seed);
    let (mut passed, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let body = random.pick(&BODIES);
        let header = random.header(body);
        match compare(&format!("SEED={seed}, round {round}"), &header, body) {
            Some(true) => passed += 1,
            Some(false) => refused += 1,
            None => {}
        }
    }
    assert!(
        passed > ROUNDS / 20 && refused > ROUNDS / 4,
        "SEED={seed} compares too little: {passed} passed, {refused} refused"
    );
}

fn now_as_seed() -> u64 {
    shared::message::now_ms().unsigned_abs()
}

/// splitmix64: a small generator with the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, max: usize) -> usize {
        usize::try_from(self.next() % max as u64).expect("below a usize")
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A header with a few items in any order. Most items are valid.
    fn header(&mut self, body: &str) -> String {
        let off = self.pick(&[0, 0, 0, 1, -299, -300, -301, 299, 300, 301, 100_000, -1_000_000_000]);
        let time = NOW + off;
        let mut items = Vec::new();
        if self.below(20) > 0 {
            items.push(self.time(time));
        }
        for _ in 0..self.below(5) {
            let item = self.item(time, body);
            items.insert(self.below(items.len() + 1), item);
        }
        items.join(self.pick(&[",", ",", ",", ",", ", ", ",,"]))
    }

    fn time(&mut self, time: i64) -> String {
        match self.below(16) {
            0 => format!("t=+{time}"),
            1 => format!("t=0{time}"),
            2 => format!("t=-{time}"),
            3 => format!("t={time}.0"),
            4 => format!("t={time}=1"),
            5 => self
                .pick(&["t=", "t", "t=now", "T=1", "t=99999999999999999999"])
                .to_owned(),
            _ => format!("t={time}"),
        }
    }

    fn item(&mut self, time: i64, body: &str) -> String {
        let secret = self.pick(&[SECRET, SECRET, ROLLED, STRANGER]);
        let signature = sign(secret, time, body.as_bytes());
        match self.below(16) {
            0 => format!("v0={signature}"),
            1 => format!("v1={}", signature.to_uppercase()),
            2 => format!("v1={}", &signature[..self.below(64)]),
            3 => format!("v1={signature}{signature}"),
            4 => format!("v1=0x{signature}"),
            5 => self
                .pick(&["v1=potato", "v1=", "v1==", "=", "v2=é", "V1=00"])
                .to_owned(),
            6 => self.pick(&["junk", "", "v1", "v1 =00", "t=1"]).to_owned(),
            _ => format!("v1={signature}"),
        }
    }
}
