//! Lines for people on standard error.

#[expect(
    clippy::print_stderr,
    reason = "progress, and the error of a failed command; logs may be filtered"
)]
pub(super) fn eprint_line(line: &str) {
    eprintln!("{line}");
}
