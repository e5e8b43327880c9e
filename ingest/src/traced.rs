//! What a request that was let in leaves in its trace: a span for the answer,
//! and below it one for the message, whose place travels with it.

use axum::http::StatusCode;
use shared::{
    publisher::PublishError,
    trace::{Role, Span, TraceContext},
};
use std::time::SystemTime;

/// The spans of one request.
pub(crate) struct Traced {
    answer: Span,
    send: Span,
}

impl Traced {
    /// Begins both; the request `arrived` before it was let in.
    pub(crate) fn begin(route: &'static str, queue: &str, parent: Option<TraceContext>, arrived: SystemTime) -> Self {
        let mut answer = Span::begin(format!("POST {route}"), Role::Server, parent, arrived);
        answer.set("http.request.method", "POST");
        answer.set("http.route", route);
        let now = SystemTime::now();
        let mut send = Span::begin(format!("send {queue}"), Role::Producer, Some(answer.context()), now);
        send.set("messaging.system", "rabbitmq");
        send.set("messaging.operation.type", "send");
        send.set("messaging.destination.name", queue.to_owned());
        Self { answer, send }
    }

    /// What it is about: the event's id and type.
    pub(crate) fn about(&mut self, id: &str, kind: &str) {
        self.send.set("messaging.message.id", id.to_owned());
        self.send.set("tollbridge.event.type", kind.to_owned());
    }

    /// The place that travels with the message.
    pub(crate) fn context(&self) -> TraceContext {
        self.send.context()
    }

    /// Ends both; `good` is the answer if all is stored.
    pub(crate) fn end(mut self, good: StatusCode, outcome: &Result<(), PublishError>) {
        let mut status = good;
        if let Err(error) = outcome {
            status = StatusCode::SERVICE_UNAVAILABLE;
            self.send.fail(error.to_string());
            self.answer.fail(error.to_string());
        }
        self.send.end();
        self.answer.set("http.response.status_code", i64::from(status.as_u16()));
        self.answer.end();
    }
}
