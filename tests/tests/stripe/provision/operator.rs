//! Runs `provision` with a catalog and an account of its own.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tests::harness::{Process, eventually, repository};
use tests::stripe::{Fault, Stripe, When};
use tokio::sync::Notify;

pub(crate) const KEY: &str = "sk_test_tollbridge_hush_0123456789";

/// What a run ended with.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) printed: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// As it is, if it ended with `code`.
    pub(crate) fn with(self, code: i32) -> Result<Self> {
        ensure!(self.code == Some(code), "expected exit code {code}: {self:#?}");
        Ok(self)
    }

    /// The lines that begin with `sign`, without it and without the spaces of columns.
    pub(crate) fn lines(&self, sign: char) -> Vec<String> {
        let lines = self
            .printed
            .lines()
            .filter_map(|line| line.strip_prefix(sign)?.strip_prefix(' '));
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }
}

pub(crate) struct Operator {
    pub(crate) stripe: Stripe,
    pub(crate) folder: PathBuf,
    pub(crate) settings: BTreeMap<String, String>,
}

impl Operator {
    pub(crate) async fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("tollbridge-provision-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let stripe = Stripe::start().await?;
        let settings = [
            ("STRIPE_API_BASE", stripe.base().to_owned()),
            ("STRIPE_SECRET_KEY", KEY.to_owned()),
            ("STRIPE_REQUESTS_PER_SECOND", "100".to_owned()),
            ("CATALOG_FILE", folder.join("catalog.toml").display().to_string()),
            ("RUST_LOG", "debug".to_owned()),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
        let operator = Self {
            stripe,
            folder,
            settings,
        };
        operator.write(&[])?;
        Ok(operator)
    }

    /// Writes the shipped catalog, with changes.
    pub(crate) fn write(&self, changes: &[(&str, &str)]) -> Result<()> {
        let mut text = fs::read_to_string(repository().join("deploy/catalog.toml"))?;
        for (from, to) in changes {
            ensure!(text.contains(from), "{from} is not in the shipped catalog");
            text = text.replacen(from, to, 1);
        }
        Ok(fs::write(self.folder.join("catalog.toml"), text)?)
    }

    pub(crate) fn process(&self) -> Result<Process> {
        Process::new("provision", "provision", &[], self.settings.clone(), &self.folder)
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        let mut command = self.process()?.command(arguments)?;
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        let ran = Ran {
            code: output.status.code(),
            printed: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        };
        let both = format!("{}{}", ran.printed, ran.stderr);
        let key = self.settings.get("STRIPE_SECRET_KEY").map_or(KEY, String::as_str);
        ensure!(!both.contains(key), "the key is printed: {both}");
        Ok(ran)
    }

    pub(crate) async fn apply(&self) -> Result<Ran> {
        self.run(&["apply", "--test"]).await?.with(0)
    }

    /// Runs it, and kills it when it has made `writes` writes and waits for the answer of one more,
    /// which is done.
    pub(crate) async fn run_and_kill(&self, arguments: &[&str], writes: usize) -> Result<()> {
        let (dead, before) = (Arc::new(Notify::new()), self.stripe.writes().len());
        let when = When::to("POST", "/v1/").after(writes).times(1);
        self.stripe.inject(Fault::Waits(Arc::clone(&dead)), when);
        let mut command = self.process()?.command(arguments)?;
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let there = async || {
            ensure!(self.stripe.writes().len() > before + writes);
            Ok(())
        };
        eventually(Duration::from_secs(30), "the write is there", there).await;
        child.kill().await?;
        dead.notify_one();
        Ok(())
    }

    /// Checks that nothing is to be done, by plan and by apply.
    pub(crate) async fn settled(&self) -> Result<()> {
        self.run(&["plan", "--test", "--detailed-exitcode"]).await?.with(0)?;
        self.stays().await
    }

    /// Checks that an apply writes nothing, and says so of every object.
    pub(crate) async fn stays(&self) -> Result<()> {
        let before = self.stripe.writes().len();
        let again = self.apply().await?;
        ensure!(
            self.stripe.writes().len() == before,
            "a second apply writes: {again:#?}"
        );
        ensure!(
            again.lines('=').len() >= 26,
            "not every object is unchanged: {again:#?}"
        );
        self.obeys()
    }

    /// Checks that Stripe's document knows all that was asked for.
    pub(crate) fn obeys(&self) -> Result<()> {
        let violations = self.stripe.violations();
        ensure!(violations.is_empty(), "{violations:#?}");
        Ok(())
    }

    /// How many objects there are of each collection.
    pub(crate) fn census(&self) -> Vec<usize> {
        COLLECTIONS
            .iter()
            .map(|collection| self.stripe.objects(collection).len())
            .collect()
    }

    /// The object of a collection whose `field` is `value`.
    pub(crate) fn find(&self, collection: &str, field: &str, value: &str) -> Result<Value> {
        let mut found = self
            .stripe
            .objects(collection)
            .into_iter()
            .filter(|object| object[field] == value);
        let one = found
            .next()
            .with_context(|| format!("no {collection} with {field} {value}"))?;
        ensure!(found.next().is_none(), "several {collection} with {field} {value}");
        Ok(one)
    }

    /// Changes an object behind everybody's back.
    pub(crate) fn meddle(&self, collection: &str, field: &str, value: &str, pointer: &str, to: Value) -> Result<()> {
        let mut object = self.find(collection, field, value)?;
        *object
            .pointer_mut(pointer)
            .with_context(|| format!("{collection} has no {pointer}"))? = to;
        self.stripe.put(collection, &object);
        Ok(())
    }
}

pub(crate) const COLLECTIONS: [&str; 6] = [
    "products",
    "prices",
    "coupons",
    "promotion_codes",
    "billing_portal/configurations",
    "webhook_endpoints",
];
/// What the first apply of the shipped catalog asks for.
pub(crate) const WRITES: usize = 27;
/// What the shipped catalog makes of each.
pub(crate) const SHIPPED: [usize; 6] = [5, 8, 3, 3, 1, 1];

impl Drop for Operator {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
