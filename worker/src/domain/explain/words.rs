//! Times and facts in words.

use crate::domain::{
    fact::{
        ChargeRefundedFact, DisputeFact, Fact, FactBody, InvoiceFact, InvoiceItemFact, InvoiceStep, Period, Phase,
        Plan, RefundFailedFact, SessionFact, SessionStep,
    },
    moment::Moment,
};

pub(super) fn span(period: Period) -> String {
    format!("{} to {}", Moment(period.start), Moment(period.end))
}

/// The tier of a plan. The catalog may not know the price of a subscription that
/// gives no access; then the tier is unknown.
pub(super) fn tier(plan: Option<&Plan>) -> &str {
    plan.map_or("an unknown tier", |p| &p.tier)
}

/// What a fact reports, where its event's type does not say it. A snapshot of a
/// subscription has none: its changes say it.
pub(super) fn detail(fact: &Fact) -> Option<String> {
    match &fact.body {
        FactBody::Subscription(s) if s.phase == Phase::Read => Some("no event: read from Stripe's API".to_owned()),
        FactBody::Subscription(_) => None,
        FactBody::Session(session) => Some(of_session(session)),
        FactBody::Invoice(invoice) => Some(of_invoice(invoice)),
        FactBody::InvoiceItem(item) => Some(of_item(item)),
        FactBody::ChargeRefunded(refund) => Some(of_refund(refund)),
        FactBody::RefundFailed(refund) => Some(of_failed_refund(refund)),
        FactBody::Dispute(dispute) => Some(of_dispute(dispute)),
        FactBody::Customer(customer) => customer
            .user
            .as_ref()
            .map(|u| format!("the customer's metadata names user {u}")),
        FactBody::InvoicePayment(payment) => Some(format!("invoice {} was paid by a payment", payment.invoice)),
    }
}

fn of_session(session: &SessionFact) -> String {
    let bought = session
        .grants
        .iter()
        .map(|g| format!("{} {} (pack {})", g.credits, g.meter, g.pack));
    let what = match bought.collect::<Vec<_>>().join(" and ") {
        bought if bought.is_empty() => bought,
        bought => format!(" for {bought}"),
    };
    let id = &session.session;
    match session.step {
        SessionStep::Completed if session.payment_status == "unpaid" => {
            format!("checkout {id}{what} is completed; its payment is pending")
        }
        SessionStep::Completed => format!("checkout {id}{what} is completed"),
        SessionStep::PaymentSucceeded => format!("the payment of checkout {id}{what} succeeded"),
        SessionStep::PaymentFailed => format!("the payment of checkout {id} failed"),
        SessionStep::Expired => format!("checkout {id} has expired"),
    }
}

fn of_invoice(invoice: &InvoiceFact) -> String {
    let id = &invoice.invoice;
    let name = match invoice.billing_reason.0.as_deref() {
        Some("subscription_cycle") => format!("renewal {id}"),
        Some("subscription_update") => format!("invoice {id} of a change"),
        Some("subscription_create") => format!("first invoice {id}"),
        _ => format!("invoice {id}"),
    };
    let period = invoice
        .pays_for()
        .map_or(String::new(), |p| format!(", for {}", span(p)));
    let outside = if invoice.issued_by_self {
        ", made outside Managed Payments"
    } else {
        ""
    };
    match invoice.step {
        InvoiceStep::Paid if invoice.total == 0 => format!("{name} is paid, with nothing to pay{period}{outside}"),
        InvoiceStep::Paid => format!("{name} is paid{period}{outside}"),
        InvoiceStep::Failed => format!("payment of {name} failed{period}{outside}"),
        InvoiceStep::ActionRequired => {
            format!("payment of {name} waits for the customer to confirm it{period}{outside}")
        }
    }
}

fn of_item(item: &InvoiceItemFact) -> String {
    let kind = match (item.credits(), item.proration) {
        (true, _) => "a credit for a change",
        (false, true) => "a charge for a change",
        (false, false) => "an item",
    };
    format!("{kind} is added to the next invoice ({})", item.item)
}

fn of_refund(refund: &ChargeRefundedFact) -> String {
    if refund.amount_refunded >= refund.amount {
        return format!("all of charge {} is refunded", refund.charge);
    }
    format!(
        "{} of {} minor units of charge {} are refunded",
        refund.amount_refunded, refund.amount, refund.charge
    )
}

fn of_failed_refund(refund: &RefundFailedFact) -> String {
    let charge = refund.charge.as_deref().unwrap_or("(unknown)");
    format!(
        "refund {} of {} minor units of charge {charge} failed",
        refund.refund, refund.amount
    )
}

fn of_dispute(dispute: &DisputeFact) -> String {
    let charge = dispute.charge.as_deref().unwrap_or("(unknown)");
    let what = if dispute.withdrawn { "took back" } else { "returned" };
    format!(
        "dispute {} of charge {charge} {what} {} minor units",
        dispute.dispute, dispute.amount
    )
}

/// A number with commas between its thousands.
pub(super) fn units(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
