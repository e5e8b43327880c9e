//! Acts: a subscription begins.

use crate::fixtures::{DAY, Invoice, Line, Period, Price, Session, Subscription};
use crate::merchant::script::Affairs;
use crate::merchant::{Failure, Script, Statement};

/// Who names the user of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Its own metadata.
    Metadata,
    /// The metadata of its checkout session.
    SessionMetadata,
    /// The session's `client_reference_id`.
    SessionReference,
    /// Nobody but, maybe, another subscription of the same customer; its session names nobody.
    Customer,
    /// The same, and there is no session: it was made in the Dashboard.
    Dashboard,
}

/// What the first period costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// The full price.
    Full,
    /// Nothing, by a coupon.
    Coupon,
    /// Nothing, in a trial of so many days.
    Trial(i64),
}

/// What is bought.
#[derive(Clone, Debug)]
pub struct Order {
    /// Stripe's id of a customer who is there, or `None` for a new one.
    pub customer: Option<String>,
    /// What is charged.
    pub price: Price,
    /// Who names the user.
    pub link: Link,
    /// What the first period costs.
    pub terms: Terms,
}

impl Order {
    /// A new customer pays `price`, and the subscription names the user.
    #[must_use]
    pub const fn new(price: Price) -> Self {
        Self {
            customer: None,
            price,
            link: Link::Metadata,
            terms: Terms::Full,
        }
    }
}

impl Script {
    /// A checkout that succeeds, all within one second. Returns the subscription's number, by
    /// which the other acts name it.
    pub fn checkout(&mut self, order: &Order) -> usize {
        let is_return = !self.affairs.is_empty();
        let has_entitled = self.books.statements().iter().any(Statement::is_entitled);
        let (which, invoice) = self.open(order);
        if !matches!(order.terms, Terms::Trial(_)) {
            self.change_status(which, "active");
        }
        self.pay(which, invoice);
        self.complete_session(which);
        let kind = match order.terms {
            Terms::Full => "a checkout",
            Terms::Coupon => "a checkout that a coupon pays",
            Terms::Trial(_) => "a trial begins",
        };
        let parallel = match (has_entitled, is_return) {
            (true, _) => "a subscription beside another",
            (false, true) => "a return with a new subscription",
            (false, false) => kind,
        };
        let text = format!("#{which} checkout of {}, {:?}", order.price.lookup_key, order.terms);
        self.act(&[kind, parallel, named(order.link)], &text);
        which
    }

    /// A checkout whose first payment fails: the subscription stays incomplete.
    pub fn checkout_unpaid(&mut self, order: &Order, failure: Failure) -> usize {
        let (which, mut invoice) = self.open(order);
        invoice.status = "open";
        self.tell(failure.kind(), &invoice);
        self.books.statement_mut(which).failed(&invoice);
        self.affairs[which].first = Some(invoice);
        let text = format!("#{which} checkout of {} stays incomplete", order.price.lookup_key);
        self.act(&["a checkout stays incomplete"], &text);
        which
    }

    /// The first payment of an incomplete subscription succeeds after all.
    pub fn complete(&mut self, which: usize) {
        if let Some(invoice) = self.affairs[which].first.take() {
            self.change_status(which, "active");
            self.pay(which, invoice);
            self.complete_session(which);
        }
        let link = named(self.affairs[which].link);
        self.act(
            &["an incomplete checkout is paid later", link],
            &format!("#{which} becomes active"),
        );
    }

    /// The first payment never came: 23 hours are over.
    pub fn expire(&mut self, which: usize) {
        self.change_status(which, "incomplete_expired");
        let session = self.affairs[which].session.take();
        // A session that names nobody, so that nobody needs to know whether it would count.
        if let Some(mut session) = session.filter(|_| self.affairs[which].link == Link::Metadata) {
            session.status = "expired";
            session.payment_status = "unpaid";
            session.subscription = None;
            session.invoice = None;
            self.tell("checkout.session.expired", &session);
        }
        self.affairs[which].first = None;
        self.act(&["an incomplete checkout expires"], &format!("#{which} expires"));
    }

    /// The event `created` and the first invoice, which is neither paid nor failed yet.
    fn open(&mut self, order: &Order) -> (usize, Invoice) {
        let which = self.affairs.len();
        let customer = order.customer.clone().unwrap_or_else(|| self.mint.id("cus"));
        let mut subscription = Subscription::new(&mut self.mint, &customer, order.price, self.clock);
        subscription.status = "incomplete";
        if let Terms::Trial(days) = order.terms {
            subscription.status = "trialing";
            subscription.period = Period {
                start: self.clock,
                end: self.clock + days * DAY,
            };
            subscription.trial = Some(subscription.period);
        }
        if order.link == Link::Metadata {
            subscription = subscription.of_user(self.user_id());
            self.books.recognize(&customer);
        }
        let mut line = Line::plan(&mut self.mint, order.price, subscription.period);
        if order.terms != Terms::Full {
            line.amount = 0;
        }
        let reason = "subscription_create";
        let invoice = Invoice::new(&mut self.mint, &subscription, reason, self.clock, vec![line]);
        subscription.latest_invoice = Some(invoice.id.clone());
        self.tell("customer.subscription.created", &subscription);
        let session = self.session(&subscription, order, invoice.total());
        self.affairs.push(Affairs {
            link: order.link,
            session,
            first: None,
            upgrade: None,
            cycle: None,
            scheduled: None,
            items: Vec::new(),
            before: subscription.clone(),
        });
        self.books.open(subscription);
        (which, invoice)
    }

    fn session(&mut self, subscription: &Subscription, order: &Order, total: i64) -> Option<Session> {
        let mut session = Session::of_subscription(&mut self.mint, subscription);
        session.amount_total = total;
        if total == 0 {
            session.payment_status = "no_payment_required";
        }
        let user_id = self.user_id().to_owned();
        match order.link {
            Link::Dashboard => return None,
            Link::Metadata | Link::Customer => {}
            Link::SessionReference => session.client_reference_id = Some(user_id),
            Link::SessionMetadata => {
                session.metadata.insert("user_id".to_owned(), user_id);
            }
        }
        Some(session)
    }

    fn complete_session(&mut self, which: usize) {
        if let Some(session) = self.affairs[which].session.take() {
            self.tell("checkout.session.completed", &session);
        }
        if matches!(self.affairs[which].link, Link::SessionMetadata | Link::SessionReference) {
            let customer = self.shown(which).customer.clone();
            self.books.recognize(&customer);
        }
    }
}

const fn named(link: Link) -> &'static str {
    match link {
        Link::Metadata => "the user is named by the subscription",
        Link::SessionMetadata => "the user is named by the session's metadata",
        Link::SessionReference => "the user is named by the session's reference",
        Link::Customer => "the user is named by nobody but the customer",
        Link::Dashboard => "a subscription without a session",
    }
}
