//! The `worker` binary; everything is in the library.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    worker::cli::main().await
}
