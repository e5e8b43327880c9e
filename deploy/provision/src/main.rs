//! The `provision` binary; everything is in the library.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    provision::cli::main().await
}
