//! Chooses what a customer orders.

use crate::fixtures::Price;
use crate::fixtures::price::{BASIC_WEEKLY, PLUS_QUARTERLY, TOKENS_5M, VOICE_500K};
use crate::merchant::kinds::Kind;
use crate::merchant::life_generator::LifeGenerator;
use crate::merchant::{CheckoutOrder, FirstPeriod, PaidTier, UserLink};

impl LifeGenerator {
    /// A random price of a new subscription.
    fn price(&mut self) -> Price {
        if self.kinds.has(Kind::Intervals) && self.random.chance(70) {
            return self.random.pick(&[BASIC_WEEKLY, PLUS_QUARTERLY]);
        }
        let interval = self.interval(self.pace.yearly_percent);
        if self.kinds.has(Kind::Seats) && self.random.chance(80) {
            return PaidTier::Team.price(interval);
        }
        self.random.pick(&PaidTier::ALL).price(interval)
    }

    /// Packs in the checkout of a subscription whose session identifies its user.
    fn packs_beside(&mut self, link: UserLink) -> Vec<(Price, i64)> {
        use UserLink::{Metadata, SessionMetadata, SessionReference};
        let has_user = matches!(link, Metadata | SessionMetadata | SessionReference);
        if !has_user || !self.kinds.has(Kind::Packs) || self.random.chance(70) {
            return Vec::new();
        }
        let quantity = self.random.between(1, 3);
        vec![(self.random.pick(&[TOKENS_5M, VOICE_500K]), quantity)]
    }

    pub(super) fn order(&mut self, customer: Option<String>) -> CheckoutOrder {
        use UserLink::{Customer, Dashboard, Metadata, SessionMetadata, SessionReference};
        let links = [
            (40, Metadata),
            (25, SessionMetadata),
            (25, SessionReference),
            (6, Customer),
            (6, Dashboard),
        ];
        let link = self.random.pick_weighted(&links).unwrap_or(Metadata);
        let link = if customer.is_none() && self.kinds.has(Kind::CustomerNames) && self.random.chance(60) {
            UserLink::CustomerMetadata
        } else {
            link
        };
        let price = self.price();
        let days = self.random.between(2, 7);
        let first_period = [
            (70, FirstPeriod::Full),
            (8, FirstPeriod::Coupon),
            (22, FirstPeriod::Trial(days)),
        ];
        CheckoutOrder {
            customer,
            quantity: if PaidTier::of(&price) == PaidTier::Team {
                self.random.between(1, 6)
            } else {
                1
            },
            price,
            link,
            first_period: self.random.pick_weighted(&first_period).unwrap_or(FirstPeriod::Full),
            packs: self.packs_beside(link),
        }
    }

    pub(super) fn check_out(&mut self, order: &CheckoutOrder) {
        if self.random.chance(8) {
            let order = CheckoutOrder {
                first_period: FirstPeriod::Full,
                ..order.clone()
            };
            let failure = self.failure();
            self.script.checkout_unpaid(&order, failure);
        } else {
            self.script.checkout(order);
        }
    }
}
