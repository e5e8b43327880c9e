//! The signing secret of a new webhook endpoint. Stripe sends it once, in the answer to the
//! creation (API reference, "Create a webhook endpoint").

use crate::{
    kind::ObjectKind,
    plan::{ChangeAction, ChangePlan, PlannedChange},
};
use anyhow::{Context, ensure};
use serde_json::Value;
use std::{
    fs::{File, OpenOptions, Permissions},
    io::{Write, stdout},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The destination of the secrets of new endpoints, and which secrets are saved or lost.
#[derive(Debug, Default)]
pub struct EndpointSecrets {
    file: Option<(PathBuf, File)>,
    /// URLs of endpoints whose secret is in the file.
    pub saved: Vec<String>,
    /// URLs of new endpoints whose secret never arrived.
    pub lost: Vec<String>,
    /// The URL of an endpoint whose creation is in doubt.
    pub in_doubt: Option<String>,
}

fn creates_endpoint(change: &PlannedChange) -> bool {
    (change.kind, change.action) == (ObjectKind::Webhook, ChangeAction::Create)
}

/// A line about an unused `--secret-file`; `None` if the plan creates an endpoint.
#[must_use]
pub fn unused_file(path: &Path, plan: &ChangePlan) -> Option<String> {
    if plan.changes.iter().any(creates_endpoint) {
        return None;
    }
    let state = match path.metadata() {
        Ok(metadata) if metadata.len() == 0 => "the file stays empty",
        Ok(_) => "the file keeps its old content",
        Err(_) => "no file is created",
    };
    Some(format!(
        "--secret-file {}: the plan creates no endpoint, so there is no secret, and {state}; the Dashboard shows the \
         secret of an endpoint that exists: Developers, Webhooks",
        path.display()
    ))
}

impl EndpointSecrets {
    /// Opens the file for the secret if the plan creates an endpoint. Call it before the first write.
    ///
    /// # Errors
    /// If the file cannot be created or is not empty.
    pub fn ready(path: Option<&Path>, plan: &ChangePlan) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        if !plan.changes.iter().any(creates_endpoint) {
            return Ok(Self::default());
        }
        let place = path.display();
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let file = opened.with_context(|| format!("--secret-file {place}"))?;
        let metadata = file.metadata().with_context(|| format!("--secret-file {place}"))?;
        ensure!(
            metadata.is_file() && metadata.len() == 0,
            "--secret-file {place}: the file is not empty; name a new one"
        );
        // An empty file may exist already, with another mode.
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(Self {
            file: Some((path.to_owned(), file)),
            ..Self::default()
        })
    }

    /// Saves the secret of a new endpoint to the file, or prints it if there is none.
    ///
    /// # Errors
    /// If the secret can be neither saved nor printed.
    pub fn keep(&mut self, change: &PlannedChange, answer: &Value) -> anyhow::Result<()> {
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
                        "--secret-file {}: cannot save the secret of {url}; the Dashboard shows it",
                        path.display()
                    )
                })?;
                self.saved.push(url);
            }
            // Print it now: a later write may fail.
            None => writeln!(
                stdout(),
                "The secret of {url}, for STRIPE_WEBHOOK_SECRET of ingest (it is shown only once):\n{secret}"
            )
            .with_context(|| format!("cannot print the secret of {url}; the Dashboard shows it"))?,
        }
        Ok(())
    }

    /// Notes that the outcome of a write is unknown.
    pub fn doubt(&mut self, change: &PlannedChange) {
        self.in_doubt = creates_endpoint(change).then(|| change.key.clone());
    }

    /// Notes whether the write in doubt took effect.
    pub fn resolve_doubt(&mut self, took_effect: bool) {
        let url = self.in_doubt.take();
        if took_effect {
            self.lost.extend(url);
        }
    }
}
