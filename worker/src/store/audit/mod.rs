//! What `worker audit` reads: what is stored, page by page, to be compared with what
//! the facts say.

pub mod credits;
pub mod ledger;
pub mod stored;
