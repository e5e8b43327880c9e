//! What the tests, the demo and the benchmark share: makers of Stripe events ([`fixtures`]),
//! real processes on real servers ([`harness`]), the story that is told of them ([`story`],
//! played by [`stage`]), many customers and a sender that resends ([`crowd`]), whole customer lives
//! whose right answer is known ([`merchant`]) and compared with the tables ([`proof`]), a stand-in
//! for Stripe's API ([`stripe`]), what that holds of events ([`missed`]), and how measurements are written ([`figures`]).
//! Nothing here imitates a part of the pair.

pub mod crowd;
pub mod figures;
pub mod fixtures;
pub mod harness;
pub mod merchant;
pub mod missed;
pub mod proof;
pub mod shop;
pub mod stage;
pub mod story;
pub mod stripe;
