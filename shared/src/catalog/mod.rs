//! `deploy/catalog.toml`: what is sold, what each tier includes, and how the Stripe account
//! is set up. All processes read this one file; every check runs when it is read.
//!
//! Begin reading at [`Catalog`]. [`Catalog::parse`] reads and checks a text.

mod account;
mod check;
mod check_account;
mod contents;
mod load;
mod offer;
mod place;
mod rules;
mod setting;
mod sold;
#[cfg(test)]
mod tests;

pub use account::{
    Address, CustomerField, DefaultTaxBehavior, Downgrades, Portal, PortalFeatures, Proration, Tax, Webhook,
};
pub use contents::{Catalog, FREE_TIER, PriceClues};
pub use load::CatalogError;
pub use offer::{Coupon, CouponDuration, Promotion};
pub use setting::CATALOG_FILE;
pub use sold::{Interval, Limit, Limits, Meter, Pack, Price, Product, TaxBehavior, Tier};
