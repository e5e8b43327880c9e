//! Lines on standard error: progress, and the last line of a failed command.

#[expect(
    clippy::print_stderr,
    reason = "lines for people, beside the results on standard output"
)]
pub(super) fn eprint_line(line: &str) {
    eprintln!("{line}");
}
