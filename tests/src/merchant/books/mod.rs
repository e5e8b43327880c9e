//! The merchant's own books: what each user has, by the billing rules alone. They read no event, and they
//! share no code with the worker.
//!
//! A script enters what happened with its meaning: what Stripe shows of a subscription (`Snapshot`), each
//! invoice with what it bills and covers (`BookInvoice`), packs ([`Purchase`]) and usage ([`Usage`]). Then
//! the books answer for any time, by three steps:
//!
//! - `record`: which of the shown changes count. An unpaid change does not.
//! - `walk`: periods, what was sold in each and from when, and graces.
//! - `replay`: the balances, in the order of time.
//!
//! Where the rules can be read in more than one way, a `Reading` is the other way. A random life whose
//! balances depend on it is not compared.

mod account;
mod current;
mod limit;
mod price_list;
mod purchase;
mod reading;
mod record;
mod replay;
mod usage;
mod walk;
mod waterfall;

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod hand;
#[cfg(test)]
mod hand_over_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod period_tests;
#[cfg(test)]
mod replay_tests;

pub use account::{Books, UserRows};
pub use price_list::{Allowance, Meter, Plan, PriceList};
pub use purchase::{MoneyBack, Purchase};
pub use reading::Reading;
pub use record::{BookInvoice, Record, Snapshot};
pub use usage::Usage;
pub use walk::Grace;
