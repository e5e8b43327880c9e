//! Acts that begin a subscription.

use crate::fixtures::{DAY, Invoice, Line, Period, Session, StripeCustomer, Subscription};
use crate::merchant::books::Record;
use crate::merchant::scripted_subscription::ScriptedSubscription;
use crate::merchant::{CheckoutOrder, FirstPeriod, PaymentFailure, Script, UserLink};
use std::collections::BTreeSet;

impl Script {
    /// A successful checkout; all events are of one second. Returns the subscription's number, which the
    /// other acts take as `which`.
    pub fn checkout(&mut self, order: &CheckoutOrder) -> usize {
        let is_return = !self.subscriptions.is_empty();
        let has_entitled = self.alive().into_iter().any(|which| self.is_entitled(which));
        let (which, invoice) = self.open(order);
        if !matches!(order.first_period, FirstPeriod::Trial(_)) {
            self.change_status(which, "active");
        }
        self.pay(which, invoice);
        self.complete_session(which);
        if !order.packs.is_empty() {
            self.act(
                &["a pack in the checkout of a subscription"],
                &format!("#{which} has {:?}", order.packs),
            );
        }
        let kind = match order.first_period {
            FirstPeriod::Full => "a checkout",
            FirstPeriod::Coupon => "a checkout with a full discount",
            FirstPeriod::Trial(_) => "a trial begins",
        };
        let parallel = match (has_entitled, is_return) {
            (true, _) => "a second subscription at the same time",
            (false, true) => "a return with a new subscription",
            (false, false) => kind,
        };
        let text = format!(
            "#{which} checkout of {}, {:?}",
            order.price.lookup_key, order.first_period
        );
        self.act(&[kind, parallel, link_act(order.link)], &text);
        which
    }

    /// A checkout whose first payment fails: the subscription stays incomplete.
    pub fn checkout_unpaid(&mut self, order: &CheckoutOrder, failure: PaymentFailure) -> usize {
        let (which, mut invoice) = self.open(order);
        self.fail(which, &mut invoice, failure);
        self.subscriptions[which].first = Some(invoice);
        let text = format!("#{which} checkout of {} stays incomplete", order.price.lookup_key);
        self.act(&["a checkout stays incomplete"], &text);
        which
    }

    /// The first payment of an incomplete subscription succeeds later.
    pub fn complete(&mut self, which: usize) {
        if let Some(invoice) = self.subscriptions[which].first.take() {
            self.change_status(which, "active");
            self.pay(which, invoice);
            self.complete_session(which);
        }
        let link = link_act(self.subscriptions[which].link);
        self.act(
            &["an incomplete checkout is paid later", link],
            &format!("#{which} becomes active"),
        );
    }

    /// An incomplete subscription expires 23 hours after its start.
    pub fn expire(&mut self, which: usize) {
        self.change_status(which, "incomplete_expired");
        let session = self.subscriptions[which].session.take();
        // Only a session that does not identify the user: the rules do not say if an expired one counts.
        if let Some(mut session) = session
            && self.subscriptions[which].link == UserLink::Metadata
        {
            session.status = "expired";
            session.payment_status = "unpaid";
            session.subscription = None;
            session.invoice = None;
            self.add_event("checkout.session.expired", &session);
        }
        self.subscriptions[which].first = None;
        self.act(&["an incomplete checkout expires"], &format!("#{which} expires"));
    }

    /// Adds the event `created`, and makes the first invoice, which is still unpaid.
    fn open(&mut self, order: &CheckoutOrder) -> (usize, Invoice) {
        let which = self.subscriptions.len();
        let customer = order.customer.clone().unwrap_or_else(|| self.mint.id("cus"));
        let mut subscription = Subscription::new(&mut self.mint, &customer, order.price, self.clock);
        subscription.status = "incomplete";
        if let FirstPeriod::Trial(days) = order.first_period {
            subscription.status = "trialing";
            subscription.period = Period {
                start: self.clock,
                end: self.clock + days * DAY,
            };
            subscription.trial = Some(subscription.period);
        }
        if order.link == UserLink::Metadata {
            subscription = subscription.of_user(self.user_id());
        }
        subscription.quantity = order.quantity;
        if order.link == UserLink::CustomerMetadata {
            self.tell_customer(&customer);
        }
        let mut line = Line::seats(&mut self.mint, order.price, order.quantity, subscription.period);
        if order.first_period != FirstPeriod::Full {
            line.amount = 0;
        }
        let mut lines = vec![line];
        for (price, quantity) in &order.packs {
            lines.push(Line::once(&mut self.mint, *price, *quantity, self.clock));
        }
        let reason = "subscription_create";
        let invoice = Invoice::new(&mut self.mint, &subscription, reason, self.clock, lines);
        subscription.latest_invoice = Some(invoice.id.clone());
        self.add_event("customer.subscription.created", &subscription);
        let session = self.session(&subscription, order, invoice.total());
        self.subscriptions.push(ScriptedSubscription {
            link: order.link,
            session,
            first: None,
            upgrade: None,
            cycle: None,
            scheduled: None,
            items: Vec::new(),
            before: subscription.clone(),
            shown: subscription.clone(),
            packs: order.packs.clone(),
            granted: None,
            failed: BTreeSet::new(),
            has_lost_grace: false,
            paid: Vec::new(),
        });
        let record = Record::new(subscription.id.clone(), customer.clone(), self.clock);
        self.books.records.push(record);
        if order.link == UserLink::Metadata {
            let user_id = self.user_id().to_owned();
            self.books.link_customer(&customer, &user_id);
        }
        self.show(which, subscription, false);
        self.enter(which, &invoice, None);
        (which, invoice)
    }

    /// The application makes `customer`, and says whose it is.
    fn tell_customer(&mut self, customer: &str) {
        let user_id = self.user_id().to_owned();
        let made = StripeCustomer::of_user(customer, &user_id, self.clock);
        self.add_event("customer.created", &made);
        self.books.link_customer(customer, &user_id);
    }

    fn session(&mut self, subscription: &Subscription, order: &CheckoutOrder, total: i64) -> Option<Session> {
        let mut session = Session::of_subscription(&mut self.mint, subscription);
        (session.amount_total, session.amount_subtotal) = (total, total);
        if total == 0 {
            session.payment_status = "no_payment_required";
        }
        let user_id = self.user_id().to_owned();
        match order.link {
            UserLink::Dashboard => return None,
            UserLink::Metadata | UserLink::Customer | UserLink::CustomerMetadata => {}
            UserLink::SessionReference => session.client_reference_id = Some(user_id),
            UserLink::SessionMetadata => {
                session.metadata.insert("user_id".to_owned(), user_id);
            }
        }
        Some(session)
    }

    fn complete_session(&mut self, which: usize) {
        if let Some(session) = self.subscriptions[which].session.take() {
            self.add_event("checkout.session.completed", &session);
            let packs = std::mem::take(&mut self.subscriptions[which].packs);
            let purchases = packs
                .into_iter()
                .map(|(price, quantity)| self.grant(price, quantity, session.amount_total));
            let purchases = purchases.collect();
            self.subscriptions[which].granted = session.invoice.map(|invoice| (invoice, purchases));
        }
        if matches!(
            self.subscriptions[which].link,
            UserLink::SessionMetadata | UserLink::SessionReference
        ) {
            let (customer, user_id) = (self.shown(which).customer.clone(), self.user_id().to_owned());
            self.books.link_customer(&customer, &user_id);
        }
    }
}

const fn link_act(link: UserLink) -> &'static str {
    match link {
        UserLink::Metadata => "the subscription identifies the user",
        UserLink::SessionMetadata => "the session's metadata identifies the user",
        UserLink::SessionReference => "the session's reference identifies the user",
        UserLink::Customer => "only the customer identifies the user",
        UserLink::CustomerMetadata => "the customer's metadata identifies the user",
        UserLink::Dashboard => "a subscription made in the Dashboard",
    }
}
