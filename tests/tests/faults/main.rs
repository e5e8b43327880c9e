//! Broken servers and broken messages: nothing is lost, nothing counts twice, and work goes on without a restart.

mod broker;
mod database;
mod poison;
mod second_chance;
mod usage;
