//! `deploy/catalog.toml`: what is sold, what each tier includes, and how the Stripe account
//! is set up. All processes read this one file; every check runs when it is read.
//!
//! Begin reading at [`Catalog`]. [`Catalog::parse`] reads and checks a text.

mod account;
mod check;
mod check_account;
mod contents;
mod interval;
mod load;
mod offer;
mod place;
mod resolve;
mod rules;
mod setting;
mod sold;
#[cfg(test)]
mod tests;

pub use account::{
    Address, CustomerField, DefaultTaxBehavior, Downgrades, Portal, PortalFeatures, Proration, Tax, Webhook,
};
pub use contents::{Catalog, FREE_TIER};
pub use interval::Interval;
pub use load::CatalogError;
pub use offer::{Coupon, CouponDuration, Promotion};
pub use resolve::{KnownBy, PriceClues, SoldTier};
pub use setting::CATALOG_FILE;
pub use sold::{Limit, Limits, Meter, Pack, Price, Product, TaxBehavior, Tier};
