//! Acts about packs: they are bought in several ways, refunded and disputed.

use crate::fixtures::{Dispute, Event, Pack, Price};
use crate::merchant::Script;
use crate::merchant::books::{Meter, MoneyBack, Purchase};
use crate::merchant::scripted_pack::ScriptedPack;

/// What tells which packs a session sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackNaming {
    /// The session's metadata names the pack and its quantity.
    Metadata,
    /// The metadata names one pack, and the customer changed the quantity at the checkout: the amount tells.
    Amount,
    /// Only the line items, which are not in the event.
    LineItems,
}

/// The units and the meter of one pack.
fn units(price: Price) -> (Meter, i64) {
    if price.lookup_key == "voice_500k" {
        (Meter::Voice, 500_000)
    } else {
        (Meter::Tokens, 5_000_000)
    }
}

impl Script {
    /// The user buys `sold`: packs with their quantities; several kinds only by line items. A slow payment
    /// arrives a day later.
    pub fn buy_packs(&mut self, sold: &[(Price, i64)], naming: PackNaming, is_slow: bool) -> usize {
        let user_id = self.user_id().to_owned();
        let (price, quantity) = sold[0];
        let mut pack = Pack::bought(&mut self.mint, &user_id, price.lookup_key, quantity, self.clock);
        let cents: i64 = sold.iter().map(|(price, quantity)| price.cents * quantity).sum();
        (pack.session.amount_subtotal, pack.session.amount_total) = (cents, cents);
        pack.charge.amount = cents;
        match naming {
            PackNaming::Metadata => {}
            PackNaming::Amount => {
                pack.session.metadata.insert("quantity".to_owned(), "1".to_owned());
            }
            PackNaming::LineItems => {
                pack.session.metadata.remove("pack");
                pack.session.metadata.remove("quantity");
            }
        }
        self.wait(60);
        pack.charge.created = self.clock;
        if is_slow {
            let event = pack.completed_unpaid(&mut self.mint);
            self.push(event);
            self.wait(86_400);
            let event = pack.paid_later(&mut self.mint, self.clock);
            self.push(event);
        } else {
            let event = pack.completed(&mut self.mint);
            self.push(event);
        }
        let purchases = sold
            .iter()
            .map(|(price, quantity)| self.grant(*price, *quantity, cents));
        let purchases = purchases.collect();
        self.packs.push(ScriptedPack {
            pack,
            sold: sold.to_vec(),
            purchases,
            refunds: Vec::new(),
            dispute: None,
        });
        let kind = match naming {
            PackNaming::Metadata if is_slow => "a pack is paid later",
            PackNaming::Metadata => "a pack",
            PackNaming::Amount => "a pack whose quantity was changed at the checkout",
            PackNaming::LineItems => "packs that only the line items name",
        };
        self.act(&[kind], &format!("packs {naming:?} of {cents} cents"));
        self.packs.len() - 1
    }

    /// A payment for packs that never arrives: it fails, or the session expires.
    pub fn buy_nothing(&mut self, price: Price, is_expired: bool) {
        let user_id = self.user_id().to_owned();
        let mut pack = Pack::bought(&mut self.mint, &user_id, price.lookup_key, 1, self.clock);
        self.wait(60);
        pack.charge.created = self.clock;
        pack.session.payment_status = "unpaid";
        if is_expired {
            pack.session.status = "expired";
            self.add_event("checkout.session.expired", &pack.session);
        } else {
            let event = pack.completed_unpaid(&mut self.mint);
            self.push(event);
            self.wait(86_400);
            self.add_event("checkout.session.async_payment_failed", &pack.session);
        }
        self.act(&["a pack that nobody paid"], &format!("no {}", price.lookup_key));
    }

    /// Enters what a payment of `cents` granted now. Returns its number in the books.
    pub(super) fn grant(&mut self, price: Price, quantity: i64, cents: i64) -> usize {
        let (meter, units) = units(price);
        let user_id = self.user_id().to_owned();
        self.books.purchases.push(Purchase {
            user_id,
            at: self.clock,
            meter,
            units: units * quantity,
            cents,
            moves: Vec::new(),
        });
        self.books.purchases.len() - 1
    }

    /// The number of payments for packs.
    #[must_use]
    pub const fn packs_bought(&self) -> usize {
        self.packs.len()
    }

    /// Cents of the payment `which` that can still be refunded or disputed.
    #[must_use]
    pub fn pack_money(&self, which: usize) -> i64 {
        let bought = &self.packs[which];
        if bought.dispute.is_some() {
            return 0;
        }
        bought.pack.charge.amount - bought.pack.charge.amount_refunded
    }

    /// `cents` of the payment `which` are refunded.
    pub fn refund_pack(&mut self, which: usize, cents: i64) {
        let at = self.clock;
        let (refund, event) = self.packs[which].pack.refunded(&mut self.mint, cents, at);
        self.push(event);
        self.packs[which].refunds.push(refund);
        self.move_money(which, MoneyBack::Refunded(cents));
        self.act(
            &["a pack is refunded"],
            &format!("{cents} cents of pack {which} are refunded"),
        );
    }

    /// The last refund of the payment `which` fails.
    pub fn fail_pack_refund(&mut self, which: usize) {
        let Some(refund) = self.packs[which].refunds.pop() else {
            return;
        };
        self.packs[which].pack.charge.amount_refunded -= refund.amount;
        self.fail_refund(&refund);
        self.move_money(which, MoneyBack::RefundFailed(refund.amount));
        self.act(
            &["a refund of a pack fails"],
            &format!("a refund of pack {which} fails"),
        );
    }

    /// A dispute takes all money of the payment `which` that is left, in euros or in another currency.
    pub fn dispute_pack(&mut self, which: usize, is_foreign: bool) {
        let (at, cents) = (self.clock, self.pack_money(which));
        let mut dispute = self.packs[which].pack.charge.dispute(&mut self.mint, cents, at);
        let kind = if is_foreign {
            (dispute.currency, dispute.amount) = ("gbp", cents * 86 / 100);
            self.move_money(which, MoneyBack::WithdrawnAll);
            "a pack is disputed in another currency"
        } else {
            self.move_money(which, MoneyBack::Withdrawn(cents));
            "a pack is disputed"
        };
        self.add_event("charge.dispute.funds_withdrawn", &dispute);
        self.packs[which].dispute = Some(dispute);
        self.act(&[kind], &format!("pack {which} is disputed"));
    }

    /// The open dispute of the payment `which` is won.
    pub fn win_pack_dispute(&mut self, which: usize) {
        let Some(dispute) = self.packs[which].dispute.take() else {
            return;
        };
        let event = reinstated(&dispute, self);
        self.push(event);
        self.move_money(which, MoneyBack::Reinstated);
        self.act(
            &["a dispute of a pack is won"],
            &format!("the dispute of pack {which} is won"),
        );
    }

    /// Whether the payment `which` is disputed.
    #[must_use]
    pub fn is_pack_disputed(&self, which: usize) -> bool {
        self.packs[which].dispute.is_some()
    }

    /// Whether a refund of the payment `which` may fail.
    #[must_use]
    pub fn is_pack_refunded(&self, which: usize) -> bool {
        !self.packs[which].refunds.is_empty()
    }

    fn move_money(&mut self, which: usize, money: MoneyBack) {
        for purchase in &self.packs[which].purchases {
            self.books.purchases[*purchase].moves.push((self.clock, money));
        }
    }
}

fn reinstated(dispute: &Dispute, script: &mut Script) -> Event {
    let at = script.clock;
    dispute.reinstated(&mut script.mint, at)
}
