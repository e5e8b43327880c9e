//! One trace per event, over both processes: what carries it from one to the
//! other (W3C Trace Context's `traceparent`, as a header of the message), and the
//! spans that are exported by OTLP if `OTEL_EXPORTER_OTLP_ENDPOINT` is set. The
//! ids are made and logged in any case.

use crate::settings::{SettingError, Settings};
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Span as _, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer as _, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{IdGenerator, RandomIdGenerator, SdkTracer, SdkTracerProvider},
};
use std::{fmt, str::FromStr, sync::OnceLock, time::SystemTime};

/// The header of requests and of messages.
pub const TRACEPARENT: &str = "traceparent";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

static TRACER: OnceLock<(SdkTracerProvider, SdkTracer)> = OnceLock::new();

/// A place in a trace (W3C Trace Context, "traceparent header").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    sampled: bool,
}

/// Not a `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent: write 00-<32 hex digits>-<16 hex digits>-<2 hex digits>")]
pub struct NoTraceparent;

impl FromStr for TraceContext {
    type Err = NoTraceparent;

    fn from_str(text: &str) -> Result<Self, NoTraceparent> {
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            let part = parts.next().filter(|p| p.len() == digits && p.bytes().all(hex));
            part.ok_or(NoTraceparent)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // A later version may have more parts; `ff` is none.
        let longer = parts.next().is_some();
        let trace_id = TraceId::from_hex(trace).map_err(|_| NoTraceparent)?;
        let span_id = SpanId::from_hex(span).map_err(|_| NoTraceparent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| NoTraceparent)?;
        let none = trace_id == TraceId::INVALID || span_id == SpanId::INVALID;
        if version == "ff" || (version == "00" && longer) || none {
            return Err(NoTraceparent);
        }
        Ok(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{}-{}-{:02x}",
            self.trace_id,
            self.span_id,
            u8::from(self.sampled)
        )
    }
}

impl TraceContext {
    /// The trace's id, for logs.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.trace_id.to_string()
    }

    fn below(parent: Option<Self>) -> Self {
        let ids = RandomIdGenerator::default();
        Self {
            trace_id: parent.map_or_else(|| ids.new_trace_id(), |p| p.trace_id),
            span_id: ids.new_span_id(),
            sampled: parent.is_none_or(|p| p.sampled),
        }
    }

    fn remote(self) -> Context {
        let flags = if self.sampled {
            TraceFlags::SAMPLED
        } else {
            TraceFlags::default()
        };
        let context = SpanContext::new(self.trace_id, self.span_id, flags, true, TraceState::default());
        Context::new().with_remote_span_context(context)
    }
}

/// What part a span has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It answers a request.
    Server,
    /// It puts a message on a queue.
    Producer,
    /// It works on a message.
    Consumer,
}

/// A piece of work on an event.
#[derive(Debug)]
pub struct Span {
    context: TraceContext,
    exported: Option<opentelemetry_sdk::trace::Span>,
}

impl Span {
    /// Begins a piece of work, as a part of `parent` if there is one.
    #[must_use]
    pub fn begin(name: String, role: Role, parent: Option<TraceContext>, began: SystemTime) -> Self {
        let Some((_, tracer)) = TRACER.get() else {
            return Self {
                context: TraceContext::below(parent),
                exported: None,
            };
        };
        let kind = match role {
            Role::Server => SpanKind::Server,
            Role::Producer => SpanKind::Producer,
            Role::Consumer => SpanKind::Consumer,
        };
        let builder = tracer.span_builder(name).with_kind(kind).with_start_time(began);
        let span = tracer.build_with_context(builder, &parent.map_or_else(Context::new, TraceContext::remote));
        let context = span.span_context();
        Self {
            context: TraceContext {
                trace_id: context.trace_id(),
                span_id: context.span_id(),
                sampled: context.is_sampled(),
            },
            exported: Some(span),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// Notes something of it: ids, types, outcomes; never a payload.
    pub fn set(&mut self, name: &'static str, value: impl Into<opentelemetry::Value>) {
        if let Some(span) = &mut self.exported {
            span.set_attribute(KeyValue::new(name, value));
        }
    }

    /// It failed.
    pub fn fail(&mut self, why: String) {
        if let Some(span) = &mut self.exported {
            span.set_status(Status::error(why));
        }
    }

    /// Ends it now.
    pub fn end(mut self) {
        if let Some(span) = &mut self.exported {
            span.end();
        }
    }
}

/// Exports spans of `service` from now on, if `OTEL_EXPORTER_OTLP_ENDPOINT` says
/// where to. The SDK reads more: README.md names what of it holds.
///
/// # Errors
/// When it is no URL of a collector beside us.
pub fn init(settings: &Settings, service: &'static str) -> Result<(), SettingError> {
    let Some(endpoint) = settings.text(ENDPOINT) else {
        return Ok(());
    };
    if !endpoint.starts_with("http://") {
        let problem = "is not an http:// URL; name a collector beside this process, such as http://127.0.0.1:4318, and let it speak TLS to others";
        return Err(SettingError::new(ENDPOINT, problem));
    }
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter = SpanExporter::builder().with_http().with_endpoint(url).build();
    let exporter = exporter.map_err(|e| SettingError::new(ENDPOINT, format!("cannot be used: {e}")))?;
    let name = settings.text("OTEL_SERVICE_NAME").unwrap_or(service).to_owned();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name(name).build())
        .build();
    let tracer = provider.tracer("tollbridge");
    let _ = TRACER.set((provider, tracer));
    Ok(())
}

/// Whether spans are exported.
#[must_use]
pub fn exporting() -> bool {
    TRACER.get().is_some()
}

/// Sends what is not sent yet; for the end of the process. Takes five seconds at
/// the most, if the collector does not answer.
pub async fn end() {
    let flushed = tokio::task::spawn_blocking(|| {
        if let Some((provider, _)) = TRACER.get()
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    });
    let _ = flushed.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written_as_it_was() {
        let context: TraceContext = GOOD.parse().expect("a traceparent");
        assert_eq!(context.to_string(), GOOD);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let later = format!("01{}-more", &GOOD[2..]);
        assert_eq!(later.parse(), Ok(context), "a later version may have more parts");
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let upper = GOOD.to_uppercase();
        let longer = format!("{GOOD}-more");
        for text in [
            "",
            "00",
            &GOOD[3..],
            &GOOD[..54],
            zeros,
            &upper,
            &longer,
            &format!("ff{}", &GOOD[2..]),
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(NoTraceparent), "{text}");
        }
    }

    #[test]
    fn a_part_of_a_trace_has_its_id_and_one_without_a_parent_an_own() {
        let parent: TraceContext = GOOD.parse().expect("a traceparent");
        let span = |parent| Span::begin("x".to_owned(), Role::Server, parent, SystemTime::now()).context();
        let below = span(Some(parent));
        assert_eq!((below.trace_id, below.sampled), (parent.trace_id, true));
        assert_ne!(below.span_id, parent.span_id);
        assert_ne!(span(None).trace_id, span(None).trace_id);
    }
}
