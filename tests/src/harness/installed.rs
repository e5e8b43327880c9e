//! Finds tools that `make install-tests` installs. A test never installs anything.

use crate::harness::repository;
use anyhow::{Result, bail, ensure};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The `N` paths of the tool `name` in `deploy/local/wanted.py`.
///
/// # Errors
/// When it is not installed; the message says which make target installs it.
pub fn installed<const N: usize>(name: &str) -> Result<[PathBuf; N]> {
    let output = Command::new("python3")
        .arg(repository().join("deploy/local/install.py"))
        .args(["find", name])
        .stdin(Stdio::null())
        .output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", complaint.trim());
    let paths: Vec<PathBuf> = String::from_utf8(output.stdout)?.lines().map(PathBuf::from).collect();
    let Ok(paths) = <[PathBuf; N]>::try_from(paths.clone()) else {
        bail!("install.py has {} paths for {name}, not {N}: {paths:?}", paths.len());
    };
    Ok(paths)
}
