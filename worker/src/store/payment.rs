//! Payments: what connects an invoice with its refunds and disputes. Most of these events
//! name no customer.

use super::convert::column;
use crate::domain::{
    fact::{Fact, FactBody},
    ids::AccountId,
};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// What a batch says about one payment.
#[derive(Debug, Clone, Copy, Default)]
struct NotedPayment<'a> {
    invoice: Option<&'a str>,
    returned: bool,
}

/// A returned payment that the facts of a batch are about, and the account of its invoice.
#[derive(Debug, Clone)]
pub struct ReturnedPayment {
    /// The payment.
    pub payment: String,
    /// The invoice that it paid.
    pub invoice: String,
    /// The account of the invoice.
    pub account: AccountId,
}

impl ReturnedPayment {
    /// Whether a fact is about this payment or its invoice.
    #[must_use]
    pub fn concerns(&self, fact: &Fact) -> bool {
        fact.body.payment_id() == Some(&self.payment) || fact.body.invoice_id() == Some(&self.invoice)
    }
}

/// Locks the payments and invoices of these facts until the transaction ends, and notes how
/// they belong together. So of two transactions whose facts belong together, the later one
/// sees the facts of the earlier one. Returns the returned payments among them whose account
/// is known: those accounts must be folded from all facts.
pub async fn note(connection: &mut PgConnection, facts: &[&Fact]) -> Result<Vec<ReturnedPayment>, sqlx::Error> {
    let (payments, mut invoices) = noted(facts);
    let mut touched: BTreeSet<String> = invoices.keys().map(|id| (*id).to_owned()).collect();
    let known = lock_payments(connection, &payments).await?;
    // Of a returned payment, the invoice is locked too.
    touched.extend(known);
    for invoice in &touched {
        invoices.entry(invoice).or_default();
    }
    if invoices.is_empty() {
        return Ok(Vec::new());
    }
    lock_invoices(connection, &invoices).await?;
    returned(connection, &payments, &touched).await
}

/// The payments of these facts, and the invoices with their accounts.
fn noted<'a>(facts: &[&'a Fact]) -> (BTreeMap<&'a str, NotedPayment<'a>>, BTreeMap<&'a str, Option<&'a str>>) {
    let mut payments: BTreeMap<&str, NotedPayment<'_>> = BTreeMap::new();
    let mut invoices: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for fact in facts {
        let invoice = fact.body.invoice_id();
        if let Some(payment) = fact.body.payment_id() {
            let noted = payments.entry(payment).or_default();
            noted.invoice = noted.invoice.max(invoice);
            noted.returned |= fact.body.returns_money();
        }
        if let Some(invoice) = invoice {
            let is_its_own = matches!(fact.body, FactBody::Invoice(_));
            let account = invoices.entry(invoice).or_default();
            *account = (*account).max(is_its_own.then(|| fact.account.as_str()));
        }
    }
    (payments, invoices)
}

/// Locks payments. Returns the invoices of those that were returned.
async fn lock_payments(
    connection: &mut PgConnection,
    payments: &BTreeMap<&str, NotedPayment<'_>>,
) -> Result<Vec<String>, sqlx::Error> {
    if payments.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(&str, NotedPayment<'_>)> = payments.iter().map(|(id, noted)| (*id, *noted)).collect();
    let invoices = sqlx::query_scalar!(
        "INSERT INTO billing.payment AS known (payment, invoice, returned)
         SELECT * FROM UNNEST($1::text[], $2::text[], $3::boolean[])
         ON CONFLICT (payment) DO UPDATE SET lock_count = known.lock_count + 1,
             invoice = coalesce(known.invoice, excluded.invoice), returned = known.returned OR excluded.returned
         RETURNING CASE WHEN returned THEN invoice END AS invoice",
        &column(&rows, |(payment, _)| *payment) as &[&str],
        &column(&rows, |(_, noted)| noted.invoice) as &[Option<&str>],
        &column(&rows, |(_, noted)| noted.returned),
    )
    .fetch_all(connection)
    .await?;
    Ok(invoices.into_iter().flatten().collect())
}

/// Locks invoices, and notes their accounts.
async fn lock_invoices(
    connection: &mut PgConnection,
    invoices: &BTreeMap<&str, Option<&str>>,
) -> Result<(), sqlx::Error> {
    let rows: Vec<(&str, Option<&str>)> = invoices.iter().map(|(id, account)| (*id, *account)).collect();
    // The row is locked even if the condition does not hold ("INSERT", "ON CONFLICT Clause").
    sqlx::query!(
        "INSERT INTO billing.invoice AS known (invoice, account) SELECT * FROM UNNEST($1::text[], $2::text[])
         ON CONFLICT (invoice) DO UPDATE SET account = excluded.account
             WHERE known.account IS NULL AND excluded.account IS NOT NULL",
        &column(&rows, |(invoice, _)| *invoice) as &[&str],
        &column(&rows, |(_, account)| *account) as &[Option<&str>],
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// The returned payments among `payments` and of `invoices` whose accounts are known.
async fn returned(
    connection: &mut PgConnection,
    payments: &BTreeMap<&str, NotedPayment<'_>>,
    invoices: &BTreeSet<String>,
) -> Result<Vec<ReturnedPayment>, sqlx::Error> {
    let payments: Vec<&str> = payments.keys().copied().collect();
    let invoices: Vec<&str> = invoices.iter().map(String::as_str).collect();
    let rows = sqlx::query!(
        r#"WITH found AS (
               SELECT p.payment, i.invoice, i.account
               FROM (SELECT payment, invoice FROM billing.payment WHERE returned AND payment = ANY($1)
                     UNION SELECT payment, invoice FROM billing.payment WHERE returned AND invoice = ANY($2)) AS p
                    JOIN billing.invoice AS i USING (invoice)
               WHERE i.account IS NOT NULL
           ), noted AS (
               UPDATE billing.payment SET account = found.account FROM found
               WHERE payment.payment = found.payment AND payment.account IS DISTINCT FROM found.account
           )
           SELECT payment AS "payment!", invoice AS "invoice!", account AS "account!" FROM found"#,
        &payments as &[&str],
        &invoices as &[&str],
    )
    .fetch_all(connection)
    .await?;
    let returned = rows.into_iter().map(|row| ReturnedPayment {
        payment: row.payment,
        invoice: row.invoice,
        account: AccountId::new(row.account),
    });
    Ok(returned.collect())
}
