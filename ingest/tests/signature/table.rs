//! Cases from the test suites of Stripe's SDKs (stripe-node, -python, -go, -ruby, -php), and
//! cases of attackers.

use crate::{NOW, ROLLED, SECRET, STRANGER, sign};
use ingest::signature::{HEADER_BYTES_MAX, Secrets, SignatureError, verify};

const BODY: &[u8] = br#"{"id":"evt_1","type":"invoice.paid","created":1700000000}"#;

/// Checks the verdict on a header, with the secrets `[SECRET, ROLLED]`, for [`BODY`] at [`NOW`].
#[track_caller]
fn check(case: &str, header: impl AsRef<[u8]>, expected: Result<usize, SignatureError>) {
    let secrets = Secrets::new(&[SECRET, ROLLED]);
    assert_eq!(verify(&secrets, Some(header.as_ref()), BODY, NOW), expected, "{case}");
}

fn good(secret: &str) -> String {
    sign(secret, NOW, BODY)
}

fn at(timestamp: i64) -> String {
    format!("t={timestamp},v1={}", sign(SECRET, timestamp, BODY))
}

#[test]
fn a_signature_passes_for_any_v1_by_any_secret() {
    let (ours, rolled, wrong) = (good(SECRET), good(ROLLED), good(STRANGER));
    let zeros = "0".repeat(64);
    check("one", format!("t={NOW},v1={ours}"), Ok(0));
    check("by the other secret", format!("t={NOW},v1={rolled}"), Ok(1));
    check(
        "by both, as while rolling",
        format!("t={NOW},v1={rolled},v1={ours}"),
        Ok(0),
    );
    check(
        "good after bad",
        format!("t={NOW},v1={wrong},v1={zeros},v1={ours}"),
        Ok(0),
    );
    check("good before bad", format!("t={NOW},v1={rolled},v1={wrong}"), Ok(1));
    check(
        "good beside what is not hex",
        format!("t={NOW},v1=potato,v1={ours},v1="),
        Ok(0),
    );
    check("good beside v0", format!("t={NOW},v1={ours},v0={zeros}"), Ok(0));
    check(
        "beside unknown schemes",
        format!("v9=x,t={NOW},k,=,v1={ours}").replace("k,", "k=,"),
        Ok(0),
    );
    check("time last", format!("v1={ours},t={NOW}"), Ok(0));
    check("upper case", format!("t={NOW},v1={}", ours.to_uppercase()), Ok(0));
    check(
        "bytes that are not UTF-8 in another scheme",
        [b"v9=\xff\xfe,".as_slice(), at(NOW).as_bytes()].concat(),
        Ok(0),
    );
}

#[test]
fn a_wrong_signature_is_refused() {
    let (ours, wrong) = (good(SECRET), good(STRANGER));
    check(
        "by a stranger",
        format!("t={NOW},v1={wrong}"),
        Err(SignatureError::Mismatch),
    );
    check(
        "of another time",
        format!("t={},v1={ours}", NOW - 1),
        Err(SignatureError::Mismatch),
    );
    check(
        "cut short",
        format!("t={NOW},v1={}", &ours[..62]),
        Err(SignatureError::Mismatch),
    );
    check(
        "too long",
        format!("t={NOW},v1={ours}00"),
        Err(SignatureError::Mismatch),
    );
    check(
        "not hex",
        format!("t={NOW},v1=bad_signature"),
        Err(SignatureError::Mismatch),
    );
    check("empty", format!("t={NOW},v1="), Err(SignatureError::Mismatch));
    check(
        "good, but v0 only",
        format!("t={NOW},v0={ours}"),
        Err(SignatureError::NoSignature),
    );
    check(
        "good, but of a scheme to come",
        format!("t={NOW},v2={ours}"),
        Err(SignatureError::NoSignature),
    );
    check(
        "good, but V1",
        format!("t={NOW},V1={ours}"),
        Err(SignatureError::NoSignature),
    );
    check("only a time", format!("t={NOW}"), Err(SignatureError::NoSignature));
}

#[test]
fn a_header_that_is_missing_or_malformed_is_refused() {
    let ours = good(SECRET);
    let secrets = Secrets::new(&[SECRET]);
    assert_eq!(verify(&secrets, None, BODY, NOW), Err(SignatureError::Missing));
    check("empty", "", Err(SignatureError::Missing));
    for header in [
        "I'm not even a real signature header",
        "bad_header",
        "v1,t=1",
        "t=",
        ",",
        " ",
        "t=now,v1=00",
        "t=1e9,v1=00",
        "\r\n\r\n",
        "\0",
    ] {
        check(header, header, Err(SignatureError::Malformed));
    }
    check("no time", format!("v1={ours}"), Err(SignatureError::Malformed));
    check(
        "two times",
        format!("t={NOW},t={NOW},v1={ours}"),
        Err(SignatureError::Malformed),
    );
    check(
        "two times, one stale",
        format!("t=1,v1={ours},t={NOW}"),
        Err(SignatureError::Malformed),
    );
    check(
        "a fraction",
        format!("t={NOW}.5,v1={ours}"),
        Err(SignatureError::Malformed),
    );
    check("bytes as time", b"t=\xff,v1=00", Err(SignatureError::Malformed));
    check(
        "an item without =",
        format!("t={NOW},v1={ours},junk"),
        Err(SignatureError::Malformed),
    );
}

#[test]
fn a_time_passes_up_to_the_tolerance_before_or_after_now() {
    for (off, expected) in [
        (0, Ok(0)),
        (-300, Ok(0)),
        (300, Ok(0)),
        (-301, Err(SignatureError::Stale)),
        (301, Err(SignatureError::Stale)),
        (-86_400, Err(SignatureError::Stale)),
        (86_400, Err(SignatureError::Stale)),
    ] {
        check(&format!("{off} s"), at(NOW + off), expected);
    }
}

#[test]
fn a_huge_or_negative_time_is_stale_or_malformed_and_overflows_nothing() {
    for timestamp in [0, -1, -NOW, i64::MAX, i64::MIN] {
        check(&timestamp.to_string(), at(timestamp), Err(SignatureError::Stale));
    }
    for text in [
        "9223372036854775808",
        "-9223372036854775809",
        &"9".repeat(1_000),
        "0x6553f100",
    ] {
        check(text, format!("t={text},v1=00"), Err(SignatureError::Malformed));
    }
    let secrets = Secrets::new(&[SECRET]);
    for now in [i64::MIN, i64::MAX] {
        let verdict = verify(&secrets, Some(at(NOW).as_bytes()), BODY, now);
        assert_eq!(verdict, Err(SignatureError::Stale), "now = {now}");
    }
}

#[test]
fn whitespace_around_items_is_dropped_and_within_them_it_is_not() {
    let ours = good(SECRET);
    check("after commas", format!("t={NOW}, v1={ours}, v0=00"), Ok(0));
    check("around all", format!(" t={NOW} ,\tv1={ours} "), Ok(0));
    check("lines", format!("t={NOW},\r\n v1={ours}\r\n"), Ok(0));
    check(
        "around =",
        format!("t = {NOW},v1 = {ours}"),
        Err(SignatureError::Malformed),
    );
    check(
        "before the digits",
        format!("t={NOW},v1= {ours}"),
        Err(SignatureError::Mismatch),
    );
    // stripe-node warns about this: a secret that was copied with a space is another secret.
    let padded = Secrets::new(&["whsec_current "]);
    assert_eq!(
        verify(&padded, Some(at(NOW).as_bytes()), BODY, NOW),
        Err(SignatureError::Mismatch)
    );
}

#[test]
fn a_thousand_signatures_are_checked_and_a_longer_header_is_refused() {
    let wrong = format!(",v1={}", good(STRANGER)).repeat(1_000);
    check(
        "a thousand, all wrong",
        format!("t={NOW}{wrong}"),
        Err(SignatureError::Mismatch),
    );
    check("the last is good", format!("t={NOW}{wrong},v1={}", good(SECRET)), Ok(0));
    check(
        "the first is good",
        format!("t={NOW},v1={}{wrong}", good(ROLLED)),
        Ok(1),
    );
    let padding = "x".repeat(HEADER_BYTES_MAX);
    check(
        "huge",
        format!("{},v9={padding}", at(NOW)),
        Err(SignatureError::TooLong),
    );
    check(
        "full of commas",
        ",".repeat(HEADER_BYTES_MAX),
        Err(SignatureError::Malformed),
    );
}

#[test]
fn the_raw_bytes_are_signed_whatever_they_are() {
    let secrets = Secrets::new(&[SECRET]);
    let thin = br#"{"id":"evt_2","object":"v2.core.event","type":"v1.billing.meter.no_meter_found","created":"2025-10-04T15:13:32.232083866Z"}"#;
    let bodies: [&[u8]; 6] = [
        b"",
        b"not JSON",
        b"\xff\xfe\x00",
        b"{\n  \"id\" : 1\r\n}",
        thin,
        &vec![0; 100_000],
    ];
    for body in bodies {
        let header = format!("t={NOW},v1={}", sign(SECRET, NOW, body));
        assert_eq!(verify(&secrets, Some(header.as_bytes()), body, NOW), Ok(0));
        let changed = [body, b" "].concat();
        assert_eq!(
            verify(&secrets, Some(header.as_bytes()), &changed, NOW),
            Err(SignatureError::Mismatch)
        );
    }
}
