//! One file for each kind of objects: its fields, and what Stripe refuses.

pub(super) mod account_settings;
pub(super) mod billing_period;
pub(super) mod charge;
pub(super) mod checkout;
pub(super) mod coupon;
pub(super) mod customer;
pub(super) mod event;
pub(super) mod invoice;
pub(super) mod portal;
pub(super) mod price;
pub(super) mod product;
pub(super) mod promotion_code;
pub(super) mod subscription;
pub(super) mod subscription_life;
pub(super) mod test_clock;
pub(super) mod webhook_endpoint;
