//! Whose events are applied.

use super::*;

fn refund(account: Option<&str>, context: Option<&str>) -> String {
    let object = json!({"id": "ch_1", "customer": "cus_1", "amount": 2, "amount_refunded": 1});
    let event = event("charge.refunded", &object);
    with(&with(&event, "/account", json!(account)), "/context", json!(context)).to_string()
}

#[test]
fn only_events_of_the_account_of_the_setting_are_applied() {
    let (ours, other) = (Some("acct_1"), Some("acct_2"));
    for (setting, account, context, source, applied) in [
        (None, None, None, Source::Webhook, true),
        (None, Some(""), Some(""), Source::Webhook, true),
        (None, other, None, Source::Webhook, false),
        (None, None, other, Source::Webhook, false),
        (None, other, None, Source::Direct, false),
        (None, other, None, Source::Backfill, false),
        (ours, ours, None, Source::Webhook, true),
        (ours, None, ours, Source::Webhook, true),
        (ours, ours, ours, Source::Direct, true),
        (ours, None, None, Source::Webhook, false),
        (ours, None, None, Source::Direct, false),
        (ours, other, None, Source::Webhook, false),
        (ours, ours, other, Source::Webhook, false),
        // A worker listed it with the account's header.
        (ours, None, None, Source::Backfill, true),
        (ours, other, None, Source::Backfill, false),
    ] {
        let scope = EventScope {
            mode: Mode::Any,
            account: setting.map(str::to_owned),
        };
        let body = refund(account, context);
        let (envelope, meaning) = read(body.as_bytes(), source, &catalog(), &scope);
        let case = (setting, account, context, source);
        assert_eq!(envelope.id.as_str(), "evt_1", "{case:?}");
        match meaning {
            Ok(Meaning::Fact(_)) => assert!(applied, "{case:?}"),
            other => assert_eq!(
                (other, applied),
                (Ok(Meaning::Ignored("other_account")), false),
                "{case:?}"
            ),
        }
    }
}

#[test]
fn the_account_is_decided_before_the_object_is_read() {
    let event = with(&event("charge.refunded", &json!(7)), "/account", json!("acct_2"));
    assert_eq!(meaning(&event), Ok(Meaning::Ignored("other_account")));
}
