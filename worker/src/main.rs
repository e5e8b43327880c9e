//! The `worker` program. All of its code is in the library.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    worker::cli::main().await
}
