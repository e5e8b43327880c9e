//! The state of the stand-in, and the steps of a request in Stripe's order.

use super::account_mode::{AccountMode, ServedRequest, VERSION};
use super::answer_cache::AnswerCache;
use super::check;
use super::expand::ExpandTree;
use super::fault::{Fault, Faults};
use super::form;
use super::list;
use super::object_kind::ObjectKind;
use super::object_kinds::{OBJECT_KINDS, guarded_by};
use super::objects::account_settings::ACCOUNT_ID;
use super::operations::serve;
use super::received_request::ReceivedRequest;
use super::reply::StandInReply;
use super::spec::{MatchedPath, Spec};
use super::stripe_error::StripeError;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};

/// The prefixes of keys, and whether such a key is for live mode.
const KEYS: [(&str, bool); 4] = [
    ("sk_test_", false),
    ("rk_test_", false),
    ("sk_live_", true),
    ("rk_live_", true),
];

/// The whole state of the stand-in.
#[derive(Debug)]
pub(super) struct StandInState {
    pub(super) spec: &'static Spec,
    /// Test mode, live mode.
    pub(super) modes: [AccountMode; 2],
    /// Unix time, if a test has set it.
    pub(super) now: Option<i64>,
    pub(super) requests: Vec<ReceivedRequest>,
    pub(super) violations: Vec<String>,
    pub(super) faults: Faults,
    /// The permissions that restricted keys lack.
    pub(super) denied: HashMap<String, BTreeSet<String>>,
    answers: AnswerCache,
    ids: u64,
}

/// A request whose path and parameters are valid.
struct ValidRequest {
    found: MatchedPath,
    params: Map<String, Value>,
    tree: ExpandTree,
}

impl StandInState {
    pub(super) fn new(spec: &'static Spec) -> Self {
        Self {
            spec,
            modes: [false, true].map(|is_live| AccountMode::new(is_live, OBJECT_KINDS.iter().map(ObjectKind::layout))),
            now: None,
            requests: Vec::new(),
            violations: Vec::new(),
            faults: Faults::default(),
            denied: HashMap::new(),
            answers: AnswerCache::default(),
            ids: 0,
        }
    }

    /// Unix time.
    pub(super) fn now(&self) -> i64 {
        self.now.unwrap_or_else(crate::harness::unix_now)
    }

    /// Runs a request, with `texts` as its query and its form. Returns the reply, or `None` to drop the
    /// connection, and the fault that was injected, if any.
    pub(super) fn answer(
        &mut self,
        mut asked: ReceivedRequest,
        texts: [&str; 2],
    ) -> (Option<StandInReply>, Option<Fault>) {
        if let Some(found) = self.spec.find(&asked.path) {
            asked.template = found.template;
        }
        let form = form::decode(texts);
        asked.params = form.as_ref().map_or(Value::Null, |form| Value::Object(form.clone()));
        // An invalid request is a violation, whatever the answer.
        let valid = form.and_then(|form| self.check(&asked, &form));
        if let Err(error) = &valid {
            self.note(&asked, error);
        }
        let fault = self.faults.hit(&asked.method, &asked.path);
        let reply = match fault {
            Some(Fault::TooMany { retry_after }) => {
                let reply = StandInReply::refuse(&StripeError::too_many());
                Some(
                    retry_after
                        .into_iter()
                        .fold(reply, |reply, after| reply.with("retry-after", after.to_string())),
                )
            }
            Some(Fault::DropsBefore) => None,
            Some(Fault::BadGateway) => Some(StandInReply::bad_gateway()),
            _ => {
                let reply = self.process(&asked, valid, fault.as_ref());
                (!matches!(fault, Some(Fault::DropsAfter))).then_some(reply)
            }
        };
        let number = self.requests.len() + 1;
        let reply = reply.map(|reply| with_headers(reply, &asked, number));
        asked.status = reply.as_ref().map(|reply| reply.status);
        let is_replay = |reply: &StandInReply| reply.headers.iter().any(|(name, _)| *name == "idempotent-replayed");
        asked.is_replay = reply.as_ref().is_some_and(is_replay);
        self.requests.push(asked);
        (reply, fault)
    }

    /// Checks key and permission, then a repeated answer, then the request; and runs it.
    fn process(
        &mut self,
        asked: &ReceivedRequest,
        valid: Result<ValidRequest, StripeError>,
        fault: Option<&Fault>,
    ) -> StandInReply {
        let is_live = match self.check_key(asked) {
            Ok(is_live) => is_live,
            Err(error) => return StandInReply::refuse(&error),
        };
        // Stripe ignores the header on other methods.
        let key = if asked.method == "POST" {
            asked.idempotency_key.as_deref()
        } else {
            None
        };
        let request = format!("{is_live} {} {}", asked.path, asked.params);
        match key.map(|key| self.answers.find(key, &request)) {
            Some(Ok(Some(reply))) => return reply,
            Some(Err(error)) => return StandInReply::refuse(&error),
            _ => {}
        }
        let reply = if let Some(Fault::FailsBefore(status)) = fault {
            StandInReply::refuse(&StripeError::broken(*status))
        } else {
            let valid = match valid {
                Ok(valid) => valid,
                // Stripe keeps an answer only once the operation has begun.
                Err(error) => return StandInReply::refuse(&error),
            };
            match self.run(asked, is_live, &valid) {
                Err(error) if error.is_violation => {
                    self.note(asked, &error);
                    return StandInReply::refuse(&error);
                }
                _ if matches!(fault, Some(Fault::FailsAfter)) => StandInReply::refuse(&StripeError::broken(500)),
                Ok(body) => StandInReply::json(200, body),
                Err(error) => StandInReply::refuse(&error),
            }
        };
        // Answers from before the API, such as a rate limit, are not kept.
        if let Some(key) = key
            && ![429, 503].contains(&reply.status)
        {
            self.answers.keep(key, &request, &reply);
        }
        reply
    }

    fn note(&mut self, asked: &ReceivedRequest, error: &StripeError) {
        let ReceivedRequest {
            method, path, params, ..
        } = asked;
        self.violations
            .push(format!("{method} {path}: {} ({params})", error.message));
    }

    /// Whether the key is for live mode; refuses a key without the permission.
    fn check_key(&self, asked: &ReceivedRequest) -> Result<bool, StripeError> {
        let mut kinds = KEYS.iter().filter(|(start, _)| asked.key.starts_with(start));
        let (_, is_live) = kinds.next().ok_or_else(|| StripeError::not_a_key(&asked.key))?;
        let denied = self.denied.get(&asked.key);
        if let (Some(denied), Some(kind)) = (denied, guarded_by(asked.template)) {
            let [read, write] = ["read", "write"].map(|access| format!("{}_{access}", kind.permission));
            // A key that may not read may not write either.
            let lacks = denied.contains(&read) || (asked.is_write() && denied.contains(&write));
            if lacks {
                let needed = if asked.is_write() { write } else { read };
                return Err(StripeError::not_permitted(&asked.key, ACCOUNT_ID, &needed));
            }
        }
        Ok(*is_live)
    }

    fn check(&self, asked: &ReceivedRequest, form: &Map<String, Value>) -> Result<ValidRequest, StripeError> {
        let method = asked.method.to_lowercase();
        let found = self.spec.find(&asked.path);
        let operation = found.and_then(|found| Some((self.spec.operation(&method, found.template)?, found)));
        let Some((operation, found)) = operation else {
            return Err(StripeError::unrecognized(&asked.method, &asked.path));
        };
        let params = check::object(operation, form, "")?;
        let tree = ExpandTree::read(self.spec, &operation["answer"], &params)?;
        list::limit(&params)?;
        Ok(ValidRequest { found, params, tree })
    }

    fn run(&mut self, asked: &ReceivedRequest, is_live: bool, valid: &ValidRequest) -> Result<String, StripeError> {
        let now = self.now();
        let mut call = ServedRequest {
            mode: &mut self.modes[usize::from(is_live)],
            params: &valid.params,
            now,
            ids: &mut self.ids,
        };
        serve(&mut call, &asked.method.to_lowercase(), &valid.found, &valid.tree)
    }
}

/// Adds the headers that every answer has.
fn with_headers(reply: StandInReply, asked: &ReceivedRequest, number: usize) -> StandInReply {
    let version = asked.version.as_deref().unwrap_or(VERSION);
    let reply = reply
        .with("request-id", format!("req_{number:014}"))
        .with("stripe-version", version);
    let key = asked.idempotency_key.iter();
    key.fold(reply, |reply, key| reply.with("idempotency-key", key))
}
