//! The random acts of the kinds of life that can be switched on.

use crate::fixtures::price::{SUPPORT_MONTHLY, SUPPORT_YEARLY, TOKENS_5M, VOICE_500K};
use crate::fixtures::{DAY, Interval, Price};
use crate::merchant::kinds::Kind;
use crate::merchant::life_generator::LifeGenerator;
use crate::merchant::random_acts::{RandomAct, Situation, other};
use crate::merchant::{DowngradeCredit, InvoiceReturn, PackNaming, UpgradePayment};

const PACKS: [Price; 2] = [TOKENS_5M, VOICE_500K];

impl LifeGenerator {
    /// The acts of this life's kinds that are possible for the subscription `which`.
    pub(super) fn acts_of_kinds(&self, which: usize, state: &Situation) -> Vec<(i64, RandomAct)> {
        let mut acts = self.acts_of_others(which);
        let mut add = |kind: Kind, is_possible: bool, weight: i64, act: RandomAct| {
            if self.kinds.has(kind) && is_possible {
                acts.push((weight, act));
            }
        };
        let shown = self.script.shown(which);
        add(Kind::Seats, state.may_change_seats(), 20, Self::seats);
        let few = shown.others.len() < 3;
        // Up to 2025 an event of a longer plan with a monthly item does not tell the plan's period.
        let is_told = shown.price.interval_count == 1 || self.script.version().is_since_basil();
        add(
            Kind::Items,
            state.may_change_items() && few && is_told,
            12,
            |generator, which| {
                let is_year = generator.script.shown(which).price.interval == Interval::Year;
                generator.item(which, if is_year { SUPPORT_YEARLY } else { SUPPORT_MONTHLY });
            },
        );
        let keeps_interval = self.script.subscriptions[which].scheduled.is_none();
        let is_plain = shown.price.interval_count == 1 && shown.others.is_empty() && keeps_interval;
        // The same for a year.
        let is_told = shown.price.interval == Interval::Month || self.script.version().is_since_basil();
        let may_mix = state.may_change_items() && is_plain && is_told;
        add(Kind::MixedIntervals, may_mix, 20, |generator, which| {
            let is_year = generator.script.shown(which).price.interval == Interval::Year;
            generator.item(which, if is_year { SUPPORT_MONTHLY } else { SUPPORT_YEARLY });
        });
        let has_items = state.may_change_items() && !shown.others.is_empty();
        add(Kind::Items, has_items, 5, |generator, which| {
            generator.script.drop_item(which);
        });
        let is_scheduled = self.script.subscriptions[which].scheduled.is_some();
        let may_begin = state.may_change_interval() && !is_scheduled;
        add(Kind::Anchors, may_begin, 15, |generator, which| {
            let is_credited = generator.random.chance(50);
            generator.script.reset_anchor(which, is_credited);
        });
        add(Kind::Switches, may_begin, 20, |generator, which| {
            let price = generator
                .script
                .tier(which)
                .price(other(generator.script.shown(which).price.interval));
            let failed = generator.failed_payment();
            generator.script.switch_unpaid(which, price, failed);
        });
        add(
            Kind::Switches,
            self.script.is_switch_unpaid(which),
            6,
            |generator, which| {
                let back = generator.script.held_back(which).map(|plan| plan.price);
                if let Some(price) = back {
                    generator.script.switch(which, price, DowngradeCredit::None);
                    generator.script.subscriptions[which].upgrade = None;
                }
            },
        );
        let is_paid = state.status == "active" && self.script.invoices_paid(which) > 0;
        add(Kind::MoneyBack, is_paid, 12, Self::return_invoice);
        add(Kind::HandOvers, self.may_hand_over(which, state), 40, Self::hand_over);
        let is_long = self.script.subscriptions[which].items.is_empty() && state.status == "active";
        add(Kind::Pages, is_long, 12, |generator, which| {
            generator.script.add_corrections(which);
        });
        acts
    }

    /// Whether the subscription may go to another user: it is the only one, it names its user itself, and
    /// nothing of it is unpaid.
    fn may_hand_over(&self, which: usize, state: &Situation) -> bool {
        let books = self.script.books();
        let is_first = !self.is_account_deleted || books.users_of(which).len() > 1;
        let is_running = matches!(state.status, "active" | "trialing") && state.is_settled();
        books.is_named(which) && self.script.alive() == [0] && is_first && is_running && !state.is_switch_unpaid
    }

    /// The subscription goes to a second user, from there on or back.
    fn hand_over(&mut self, which: usize) {
        let user_id = self.script.user_id().to_owned();
        let [second, third] = [format!("{user_id}_b"), format!("{user_id}_c")];
        let owner = self.script.books().owner(which).unwrap_or_default();
        let next = if owner == user_id || self.random.chance(30) && owner != second {
            second
        } else if self.random.chance(50) && owner != third {
            third
        } else {
            user_id
        };
        self.script.hand_over(which, &next);
        // Whose a later subscription of the same customer is, the rules do not say.
        self.is_account_deleted = true;
    }

    /// The acts that are about no subscription.
    fn acts_of_others(&self, _: usize) -> Vec<(i64, RandomAct)> {
        let mut acts: Vec<(i64, RandomAct)> = Vec::new();
        if self.kinds.has(Kind::Packs) {
            acts.push((12, Self::buy));
            if self.script.packs_bought() > 0 {
                acts.push((12, Self::move_pack_money));
            }
        }
        if self.kinds.has(Kind::LineItems) {
            acts.push((15, Self::buy_unnamed));
        }
        if self.kinds.has(Kind::Accounts) {
            acts.push((8, |generator, which| generator.script.foreign_account(which)));
        }
        if self.kinds.has(Kind::OtherProducts) {
            acts.push((8, |generator, _| generator.script.other_business()));
        }
        acts
    }

    fn seats(&mut self, which: usize) {
        let quantity = self.script.shown(which).quantity;
        let wanted = self.random.between(1, 8);
        let wanted = if wanted == quantity { quantity + 1 } else { wanted };
        let payments = [
            (5, UpgradePayment::Paid),
            (3, UpgradePayment::Items),
            (3, UpgradePayment::Free),
        ];
        let mut payment = self.random.pick_weighted(&payments).unwrap_or(UpgradePayment::Paid);
        if wanted > quantity && self.random.chance(35) {
            payment = UpgradePayment::Failed(self.failed_payment());
        }
        self.script.change_seats(which, wanted, payment);
    }

    fn item(&mut self, which: usize, price: Price) {
        let is_plan_last = self.random.chance(50);
        self.script.add_item(which, price, is_plan_last);
    }

    fn return_invoice(&mut self, which: usize) {
        use InvoiceReturn::{Disputed, Failed, Full, Part, Won};
        let how = self.random.pick(&[Part, Full, Full, Failed, Disputed, Won]);
        // The rest of a long way back must fit in before the period ends.
        let room = self.script.shown(which).period.end.min(self.now) - self.script.clock();
        let how = if room < 11 * DAY { Full } else { how };
        self.script.return_invoice(which, how);
    }

    fn buy(&mut self, which: usize) {
        let (price, quantity) = (self.random.pick(&PACKS), self.random.between(1, 3));
        let room = self.script.shown(which).period.end.min(self.now) - self.script.clock();
        let is_slow = room > 3 * DAY && self.random.chance(25);
        if self.random.chance(15) {
            let is_expired = !is_slow || self.random.chance(50);
            return self.script.buy_nothing(price, is_expired);
        }
        let naming = if quantity > 1 && self.random.chance(40) {
            PackNaming::Amount
        } else {
            PackNaming::Metadata
        };
        self.script.buy_packs(&[(price, quantity)], naming, is_slow);
    }

    fn buy_unnamed(&mut self, _: usize) {
        let mut sold = vec![(TOKENS_5M, self.random.between(1, 2))];
        if self.random.chance(60) {
            sold.push((VOICE_500K, self.random.between(1, 2)));
        }
        self.script.buy_packs(&sold, PackNaming::LineItems, false);
    }

    fn move_pack_money(&mut self, _: usize) {
        let pack = self.random.below(self.script.packs_bought());
        let (left, is_foreign) = (self.script.pack_money(pack), self.random.chance(40));
        if self.script.is_pack_disputed(pack) {
            self.script.win_pack_dispute(pack);
        } else if self.script.is_pack_refunded(pack) && self.random.chance(35) {
            self.script.fail_pack_refund(pack);
        } else if left > 0 && self.random.chance(30) {
            self.script.dispute_pack(pack, is_foreign);
        } else if left > 0 {
            let cents = self.random.pick(&[left, left / 2, left / 3]).max(1);
            self.script.refund_pack(pack, cents);
        }
    }
}
