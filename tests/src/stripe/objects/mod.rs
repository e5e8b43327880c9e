//! One file per kind of objects: what it looks like and what Stripe refuses of it.

pub(super) mod charge;
pub(super) mod checkout;
pub(super) mod coupon;
pub(super) mod customer;
pub(super) mod event;
pub(super) mod invoice;
pub(super) mod life;
pub(super) mod portal;
pub(super) mod price;
pub(super) mod product;
pub(super) mod promotion_code;
pub(super) mod single;
pub(super) mod subscription;
pub(super) mod test_clock;
pub(super) mod webhook_endpoint;
