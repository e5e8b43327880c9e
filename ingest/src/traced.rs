//! The spans of an accepted request: one for the answer, and below it one for the message.
//! The message carries the context of its span to the worker.

use axum::http::StatusCode;
use shared::{
    publisher::PublishError,
    trace::{Role, Span, TraceContext},
};
use std::time::SystemTime;

/// The spans of one request.
pub(crate) struct RequestSpans {
    answer: Span,
    send: Span,
}

impl RequestSpans {
    /// Begins both spans. The answer's span begins when the request `arrived`.
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

    /// Adds the event's id and type to the span of the message.
    pub(crate) fn set_event(&mut self, id: &str, kind: &str) {
        self.send.set("messaging.message.id", id.to_owned());
        self.send.set("tollbridge.event.type", kind.to_owned());
    }

    /// The context that the message carries.
    pub(crate) fn context(&self) -> TraceContext {
        self.send.context()
    }

    /// Ends both spans. `accepted` is the status of the answer if everything is stored.
    pub(crate) fn end(mut self, accepted: StatusCode, outcome: &Result<(), PublishError>) {
        let mut status = accepted;
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
