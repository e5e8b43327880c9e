//! Acts: the money of a subscription's invoice goes back, or comes again.

use crate::fixtures::{ApiVersion, Refund};
use crate::merchant::Script;
use crate::merchant::books::MoneyBack;

/// How the money of an invoice goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvoiceReturn {
    /// A part is refunded.
    Part,
    /// All is refunded.
    Full,
    /// All is refunded, but the refund fails an hour later.
    Failed,
    /// A dispute takes all.
    Disputed,
    /// A dispute takes all, and is won ten days later.
    Won,
}

impl Script {
    /// The number of paid invoices of the subscription `which` whose charges are shown.
    #[must_use]
    pub fn invoices_paid(&self, which: usize) -> usize {
        self.subscriptions[which].paid.len()
    }

    /// The money of the last paid invoice of the subscription `which` goes back.
    pub fn return_invoice(&mut self, which: usize, how: InvoiceReturn) {
        let Some((invoice, mut charge)) = self.subscriptions[which].paid.pop() else {
            return;
        };
        let cents = if how == InvoiceReturn::Part {
            charge.amount / 3
        } else {
            charge.amount
        };
        let at = self.clock;
        match how {
            InvoiceReturn::Part | InvoiceReturn::Full | InvoiceReturn::Failed => {
                let refund = charge.refund(&mut self.mint, cents, at);
                self.add_event("charge.refunded", &charge);
                if how == InvoiceReturn::Failed {
                    self.wait(3_600);
                    self.fail_refund(&refund);
                }
            }
            InvoiceReturn::Disputed | InvoiceReturn::Won => {
                let mut dispute = charge.dispute(&mut self.mint, cents, at);
                self.add_event("charge.dispute.funds_withdrawn", &dispute);
                if how == InvoiceReturn::Won {
                    self.wait(10 * 86_400);
                    dispute.status = "won";
                    self.add_event("charge.dispute.funds_reinstated", &dispute);
                }
            }
        }
        self.return_packs(which, &invoice.id, cents, at, how);
        let is_returned = matches!(how, InvoiceReturn::Full | InvoiceReturn::Disputed);
        self.books.records[which].give_back(&invoice.id, is_returned);
        let kind = match how {
            InvoiceReturn::Part => "a part of an invoice is refunded",
            InvoiceReturn::Full => "an invoice is refunded",
            InvoiceReturn::Failed => "a refund of an invoice fails",
            InvoiceReturn::Disputed => "an invoice is disputed",
            InvoiceReturn::Won => "a dispute of an invoice is won",
        };
        self.act(&[kind], &format!("#{which} {} {how:?}", invoice.billing_reason));
    }

    /// The packs that the invoice `id` sold beside the plan go back with its money.
    fn return_packs(&mut self, which: usize, id: &str, cents: i64, at: i64, how: InvoiceReturn) {
        let mut moves = vec![match how {
            InvoiceReturn::Part | InvoiceReturn::Full | InvoiceReturn::Failed => (at, MoneyBack::Refunded(cents)),
            InvoiceReturn::Disputed | InvoiceReturn::Won => (at, MoneyBack::Withdrawn(cents)),
        }];
        match how {
            InvoiceReturn::Failed => moves.push((self.clock, MoneyBack::RefundFailed(cents))),
            InvoiceReturn::Won => moves.push((self.clock, MoneyBack::Reinstated)),
            InvoiceReturn::Part | InvoiceReturn::Full | InvoiceReturn::Disputed => {}
        }
        let granted = self.subscriptions[which].granted.iter();
        let purchases: Vec<usize> = granted
            .filter(|(invoice, _)| invoice == id)
            .flat_map(|(_, purchases)| purchases.clone())
            .collect();
        for purchase in purchases {
            self.books.purchases[purchase].moves.extend(&moves);
        }
    }

    /// A refund fails. Endpoints before 2024-10-28 know it by another type.
    pub(super) fn fail_refund(&mut self, refund: &Refund) {
        let failed = Refund {
            status: "failed",
            ..refund.clone()
        };
        let kind = if self.mint.version() <= ApiVersion::V2024 {
            "charge.refund.updated"
        } else {
            "refund.failed"
        };
        self.add_event(kind, &failed);
    }
}
