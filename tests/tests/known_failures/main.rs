//! Faults that this system had, and faults that other systems' trackers report of themselves. Each is a story
//! through the real servers, with the right outcome. The page docs/known-failures.md lists them.

mod buyer;
mod catalogs;
mod connected;
mod dunning;
mod handover;
mod json;
mod letters;
mod listed;
mod orders;
mod outages;
mod owners;
mod packs;
mod pages;
mod refunds;
mod shapes;
mod stage;
mod switches;
mod units;
