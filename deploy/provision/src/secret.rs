//! The secret of a new webhook endpoint: Stripe tells it once, when it is made.

use crate::{
    diff::{Action, Change, Plan},
    kind::Kind,
};
use anyhow::{Context, ensure};
use serde_json::Value;
use std::{
    fs::{File, OpenOptions, Permissions},
    io::{Write, stdout},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Where secrets go, and what became of them.
#[derive(Debug, Default)]
pub struct Secrets {
    file: Option<(PathBuf, File)>,
    /// URLs whose secret was written to the file.
    pub filed: Vec<String>,
    /// URLs of endpoints that were made, but whose secret did not come.
    pub lost: Vec<String>,
    /// The URL of an endpoint of which nobody knows yet whether it was made.
    pub in_doubt: Option<String>,
}

fn is_new(change: &Change) -> bool {
    (change.kind, change.action) == (Kind::Webhook, Action::Create)
}

/// What becomes of `--secret-file` where no endpoint is made; `None` if one is.
#[must_use]
pub fn none_comes(path: &Path, plan: &Plan) -> Option<String> {
    if plan.changes.iter().any(is_new) {
        return None;
    }
    let state = match path.metadata() {
        Ok(metadata) if metadata.len() == 0 => "it stays empty",
        Ok(_) => "what it holds was there before",
        Err(_) => "it is not made",
    };
    Some(format!(
        "--secret-file {}: no endpoint is made, so no secret comes, and {state}; the Dashboard shows an endpoint's \
         secret: Developers, Webhooks",
        path.display()
    ))
}

impl Secrets {
    /// Before anything is written: a file for the secret, if the plan makes an endpoint.
    ///
    /// # Errors
    /// When it cannot be made, or holds something already.
    pub fn ready(path: Option<&Path>, plan: &Plan) -> anyhow::Result<Self> {
        let Some(path) = path.filter(|_| plan.changes.iter().any(is_new)) else {
            return Ok(Self::default());
        };
        let place = path.display();
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let file = opened.with_context(|| format!("--secret-file {place}"))?;
        let metadata = file.metadata().with_context(|| format!("--secret-file {place}"))?;
        ensure!(
            metadata.is_file() && metadata.len() == 0,
            "--secret-file {place}: holds something already; name a new file"
        );
        // It may have been there, empty, with another mode.
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(Self {
            file: Some((path.to_owned(), file)),
            ..Self::default()
        })
    }

    /// An endpoint was made: its secret is shown, or written to the file.
    ///
    /// # Errors
    /// When neither can be done.
    pub fn made(&mut self, change: &Change, answer: &Value) -> anyhow::Result<()> {
        let url = change.key.clone();
        let Some(secret) = answer["secret"].as_str() else {
            self.lost.push(url);
            return Ok(());
        };
        match &mut self.file {
            Some((path, file)) => {
                let written = writeln!(file, "{secret}").and_then(|()| file.sync_all());
                written.with_context(|| {
                    format!(
                        "--secret-file {}: the secret of {url} is lost here; the Dashboard shows it",
                        path.display()
                    )
                })?;
                self.filed.push(url);
            }
            // At once: what comes later may fail.
            None => writeln!(
                stdout(),
                "The secret of {url}, shown this once, for STRIPE_WEBHOOK_SECRET of ingest:\n{secret}"
            )
            .with_context(|| format!("the secret of {url} is lost here; the Dashboard shows it"))?,
        }
        Ok(())
    }

    /// Nobody knows whether a write took effect.
    pub fn doubt(&mut self, change: &Change) {
        self.in_doubt = is_new(change).then(|| change.key.clone());
    }

    /// It turned out whether the write in doubt took effect.
    pub fn known(&mut self, took_effect: bool) {
        self.lost.extend(self.in_doubt.take().filter(|_| took_effect));
    }
}
