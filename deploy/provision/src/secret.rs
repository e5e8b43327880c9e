//! The secret of a new webhook endpoint: Stripe tells it once, when it is made.

use crate::{
    diff::{Action, Change, Plan},
    kind::Kind,
};
use anyhow::{Context, ensure};
use serde_json::Value;
use shared::settings::Secret;
use std::{
    fs::{File, OpenOptions, Permissions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Where secrets go, and which were made.
#[derive(Debug, Default)]
pub struct Secrets {
    file: Option<(PathBuf, File)>,
    /// To be shown, at the end, once: the URL and its secret.
    pub shown: Vec<(String, Secret)>,
    /// URLs whose secret was written to the file.
    pub filed: Vec<String>,
    /// URLs of endpoints that were made, but whose secret did not come.
    pub lost: Vec<String>,
}

impl Secrets {
    /// Before anything is written: a file for the secret, if the plan makes an endpoint.
    ///
    /// # Errors
    /// When it cannot be made, or holds something already.
    pub fn ready(path: Option<&Path>, plan: &Plan) -> anyhow::Result<Self> {
        let is_new = |change: &Change| (change.kind, change.action) == (Kind::Webhook, Action::Create);
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

    /// An endpoint was made.
    ///
    /// # Errors
    /// When the file cannot be written.
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
            None => self.shown.push((url, Secret::new(secret))),
        }
        Ok(())
    }

    /// A write in doubt turned out to have taken effect.
    pub fn missed(&mut self, change: &Change) {
        if (change.kind, change.action) == (Kind::Webhook, Action::Create) {
            self.lost.push(change.key.clone());
        }
    }
}
