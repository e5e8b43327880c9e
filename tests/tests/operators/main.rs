//! What operators see and do: dead letters, replay, the console, explanations, audits and alerts.

mod alerts;
mod audit;
mod console_browser;
mod console_http;
mod console_pages;
mod dead_letters;
mod explain;
mod explain_short;
mod looking;
mod replay;
mod replay_crowd;
