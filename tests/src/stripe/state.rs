//! The stand-in behind its server: what a request meets on its way, in Stripe's order.

use super::account::{Call, Mode, VERSION};
use super::check;
use super::expand::Tree;
use super::fault::{Fault, Faults};
use super::form;
use super::idempotency::Kept;
use super::journal::Asked;
use super::list;
use super::objects::single::ACCOUNT_ID;
use super::refusal::Refusal;
use super::reply::Reply;
use super::serve::{guarded_by, serve};
use super::spec::{Found, Spec};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};

/// What keys begin with, and whether they are of live mode.
const KEYS: [(&str, bool); 4] = [
    ("sk_test_", false),
    ("rk_test_", false),
    ("sk_live_", true),
    ("rk_live_", true),
];

/// All that the stand-in knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) spec: &'static Spec,
    /// Test mode, live mode.
    pub(super) modes: [Mode; 2],
    /// Unix time, if a test has set it.
    pub(super) now: Option<i64>,
    pub(super) asked: Vec<Asked>,
    pub(super) violations: Vec<String>,
    pub(super) faults: Faults,
    /// The permissions that restricted keys lack.
    pub(super) denied: HashMap<String, BTreeSet<String>>,
    kept: Kept,
    ids: u64,
}

/// A request that is right in itself.
struct Sound {
    found: Found,
    params: Map<String, Value>,
    tree: Tree,
}

impl State {
    pub(super) fn new(spec: &'static Spec) -> Self {
        Self {
            spec,
            modes: [Mode::new(false), Mode::new(true)],
            now: None,
            asked: Vec::new(),
            violations: Vec::new(),
            faults: Faults::default(),
            denied: HashMap::new(),
            kept: Kept::default(),
            ids: 0,
        }
    }

    /// Unix time.
    pub(super) fn now(&self) -> i64 {
        self.now.unwrap_or_else(crate::harness::unix_now)
    }

    /// Does what is asked and says what is answered, nothing if the connection is to be dropped; and
    /// the fault that has struck.
    pub(super) fn answer(&mut self, mut asked: Asked, texts: [&str; 2]) -> (Option<Reply>, Option<Fault>) {
        if let Some(found) = self.spec.find(&asked.path) {
            asked.template = found.template;
        }
        let form = form::decode(texts);
        asked.params = form.as_ref().map_or(Value::Null, |form| Value::Object(form.clone()));
        // Whatever becomes of it: what is wrong in itself is noted.
        let sound = form.and_then(|form| self.check(&asked, &form));
        if let Err(refusal) = &sound {
            self.note(&asked, refusal);
        }
        let fault = self.faults.strike(&asked.method, &asked.path);
        let reply = match fault {
            Some(Fault::TooMany { retry_after }) => {
                let reply = Reply::refuse(&Refusal::too_many());
                Some(
                    retry_after
                        .into_iter()
                        .fold(reply, |reply, after| reply.with("retry-after", after.to_string())),
                )
            }
            Some(Fault::DropsBefore) => None,
            Some(Fault::BadGateway) => Some(Reply::bad_gateway()),
            _ => {
                let reply = self.meet(&asked, sound, fault.as_ref());
                Some(reply).filter(|_| !matches!(fault, Some(Fault::DropsAfter)))
            }
        };
        let number = self.asked.len() + 1;
        let reply = reply.map(|reply| dress(reply, &asked, number));
        asked.status = reply.as_ref().map(|reply| reply.status);
        let is_replay = |reply: &Reply| reply.headers.iter().any(|(name, _)| *name == "idempotent-replayed");
        asked.is_replay = reply.as_ref().is_some_and(is_replay);
        self.asked.push(asked);
        (reply, fault)
    }

    /// Key and permission; then what was answered before; then the request itself; then the deed.
    fn meet(&mut self, asked: &Asked, sound: Result<Sound, Refusal>, fault: Option<&Fault>) -> Reply {
        let is_live = match self.admit(asked) {
            Ok(is_live) => is_live,
            Err(refusal) => return Reply::refuse(&refusal),
        };
        // Stripe takes no notice of the header where nothing is created or changed.
        let key = asked.idempotency_key.as_deref().filter(|_| asked.method == "POST");
        let request = format!("{is_live} {} {}", asked.path, asked.params);
        match key.map(|key| self.kept.answer(key, &request)) {
            Some(Ok(Some(reply))) => return reply,
            Some(Err(refusal)) => return Reply::refuse(&refusal),
            _ => {}
        }
        let reply = if let Some(Fault::FailsBefore(status)) = fault {
            Reply::refuse(&Refusal::broken(*status))
        } else {
            let sound = match sound {
                Ok(sound) => sound,
                // Not kept: Stripe begins to keep where it begins to do.
                Err(refusal) => return Reply::refuse(&refusal),
            };
            match self.act(asked, is_live, &sound) {
                Err(refusal) if refusal.is_violation => {
                    self.note(asked, &refusal);
                    return Reply::refuse(&refusal);
                }
                _ if matches!(fault, Some(Fault::FailsAfter)) => Reply::refuse(&Refusal::broken(500)),
                Ok(body) => Reply::json(200, body),
                Err(refusal) => Reply::refuse(&refusal),
            }
        };
        // What comes before the API, such as a limit of requests, keeps nothing.
        if let Some(key) = key.filter(|_| ![429, 503].contains(&reply.status)) {
            self.kept.keep(key, &request, &reply);
        }
        reply
    }

    fn note(&mut self, asked: &Asked, refusal: &Refusal) {
        let Asked {
            method, path, params, ..
        } = asked;
        self.violations
            .push(format!("{method} {path}: {} ({params})", refusal.message));
    }

    /// Whether the key is of live mode, if it may do this.
    fn admit(&self, asked: &Asked) -> Result<bool, Refusal> {
        let mut kinds = KEYS.iter().filter(|(start, _)| asked.key.starts_with(start));
        let (_, is_live) = kinds.next().ok_or_else(|| Refusal::not_a_key(&asked.key))?;
        let denied = self.denied.get(&asked.key);
        if let (Some(denied), Some(resource)) = (denied, guarded_by(asked.template)) {
            let [read, write] = ["read", "write"].map(|kind| format!("{}_{kind}", resource.permission));
            // Who may not read may not write.
            let lacks = denied.contains(&read) || (asked.is_write() && denied.contains(&write));
            if lacks {
                let needed = if asked.is_write() { write } else { read };
                return Err(Refusal::not_permitted(&asked.key, ACCOUNT_ID, &needed));
            }
        }
        Ok(*is_live)
    }

    fn check(&self, asked: &Asked, form: &Map<String, Value>) -> Result<Sound, Refusal> {
        let method = asked.method.to_lowercase();
        let found = self.spec.find(&asked.path);
        let operation = found.and_then(|found| Some((self.spec.operation(&method, found.template)?, found)));
        let Some((operation, found)) = operation else {
            return Err(Refusal::unrecognized(&asked.method, &asked.path));
        };
        let params = check::object(operation, form, "")?;
        let tree = Tree::read(self.spec, &operation["answer"], &params)?;
        list::limit(&params)?;
        Ok(Sound { found, params, tree })
    }

    fn act(&mut self, asked: &Asked, is_live: bool, sound: &Sound) -> Result<String, Refusal> {
        let now = self.now();
        let mut call = Call {
            mode: &mut self.modes[usize::from(is_live)],
            params: &sound.params,
            now,
            ids: &mut self.ids,
        };
        serve(&mut call, &asked.method.to_lowercase(), &sound.found, &sound.tree)
    }
}

/// The headers that every answer has.
fn dress(reply: Reply, asked: &Asked, number: usize) -> Reply {
    let version = asked.version.as_deref().unwrap_or(VERSION);
    let reply = reply
        .with("request-id", format!("req_{number:014}"))
        .with("stripe-version", version);
    let key = asked.idempotency_key.iter();
    key.fold(reply, |reply, key| reply.with("idempotency-key", key))
}
