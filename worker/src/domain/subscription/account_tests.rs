//! Facts about payments that name no customer, and the accounts that they concern.

use super::{by_account, fold_all};
use crate::domain::{
    fact::{DisputeFact, Fact, FactBody, InvoiceFact, InvoicePaymentFact, InvoiceStep},
    ids::AccountId,
    testkit::{DAY, active, changed, created, facts, invoice, month, sub},
};

/// Max of `cus_1`, paid with `in_0`, and Basic from day 10; the payment and a dispute of it
/// have accounts of their own.
fn of_three_accounts() -> Vec<Fact> {
    let first = InvoiceFact {
        invoice: "in_0".to_owned(),
        ..invoice("in_0", InvoiceStep::Paid, "subscription_create", month(0))
    };
    let pays = InvoicePaymentFact {
        invoice: "in_0".to_owned(),
        payment_intent: Some("pi_0".to_owned()),
        charge: Some("ch_0".to_owned()),
    };
    let dispute = DisputeFact {
        dispute: "dp_0".to_owned(),
        charge: Some("ch_0".to_owned()),
        payment_intent: Some("pi_0".to_owned()),
        amount: 4_000,
        currency: None,
        withdrawn: true,
    };
    let mut all = facts(&[
        (0, created(sub("active", "max"))),
        (1, FactBody::Invoice(first)),
        (2, FactBody::InvoicePayment(pays)),
        (3 * DAY, FactBody::Dispute(dispute)),
        (10 * DAY, changed(active("basic", month(0)))),
    ]);
    all[2].account = AccountId::new("inpay_0");
    all[3].account = AccountId::new("dp_0");
    all
}

#[test]
fn a_dispute_without_a_customer_concerns_the_account_whose_invoice_it_is_about() {
    let all = of_three_accounts();
    let folded = fold_all(&all);
    let customer = &folded[&AccountId::new("cus_1")];
    assert!(customer.has_returns);
    assert_eq!(customer.subscriptions[0].returned.len(), 1);
    assert_eq!(customer.subscriptions[0].grace, None);
    // Without the payment nothing connects them.
    let unlinked: Vec<Fact> = all
        .iter()
        .filter(|f| f.account.as_str() != "inpay_0")
        .cloned()
        .collect();
    let customer = &fold_all(&unlinked)[&AccountId::new("cus_1")];
    assert!(!customer.has_returns);
    assert!(customer.subscriptions[0].grace.is_some());
    // Nor does the payment alone say anything.
    let paid: Vec<Fact> = all.iter().filter(|f| f.account.as_str() != "dp_0").cloned().collect();
    let customer = &fold_all(&paid)[&AccountId::new("cus_1")];
    assert!(!customer.has_returns);
    assert!(customer.subscriptions[0].grace.is_some());
}

#[test]
fn facts_about_payments_stay_in_their_own_account_too() {
    let all = of_three_accounts();
    let of = |id: &str| by_account(&all)[&AccountId::new(id)].len();
    assert_eq!(["cus_1", "inpay_0", "dp_0"].map(of), [5, 1, 1]);
}

#[test]
fn a_dispute_of_another_payment_concerns_no_invoice() {
    let mut all = of_three_accounts();
    let FactBody::Dispute(dispute) = &mut all[3].body else {
        panic!("a dispute")
    };
    (dispute.payment_intent, dispute.charge) = (Some("pi_9".to_owned()), Some("ch_9".to_owned()));
    let customer = &fold_all(&all)[&AccountId::new("cus_1")];
    assert!(!customer.has_returns);
    assert!(customer.subscriptions[0].grace.is_some());
}
