//! One trace per event, over both processes. A `traceparent` header (W3C Trace Context)
//! carries it from one process to the next. OpenTelemetry's propagator reads and writes
//! that header. Spans are exported by OTLP if `OTEL_EXPORTER_OTLP_ENDPOINT` is set. Ids
//! are made and logged in any case.

use crate::settings::{Fallback, Group, Parsed, Setting, SettingError, Settings, Text};
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::{Span as _, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer as _, TracerProvider as _},
};
pub use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{IdGenerator, RandomIdGenerator, SdkTracer, SdkTracerProvider},
};
use std::{sync::OnceLock, time::SystemTime};

/// The name of the header, in requests and in messages.
pub const TRACEPARENT: &str = "traceparent";
/// Bytes of the shortest `traceparent` (W3C Trace Context, "traceparent Header").
/// OpenTelemetry's parser takes shorter fields than the page allows.
const TRACEPARENT_BYTES_MIN: usize = 55;

/// The address of the collector.
pub static OTEL_EXPORTER_OTLP_ENDPOINT: Setting<Parsed<String>> = Setting {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    group: Group::Logs,
    form: Parsed {
        read: endpoint,
        allowed: "an http:// URL such as http://127.0.0.1:4318",
    },
    default: Fallback::None,
    meaning: "A collector beside this process that takes spans by OTLP over HTTP. Let the collector speak TLS to \
              others. Without it no span is exported.",
};
/// The service's name in spans.
pub static OTEL_SERVICE_NAME: Setting<Text> = Setting {
    name: "OTEL_SERVICE_NAME",
    group: Group::Logs,
    form: Text,
    default: Fallback::Computed("tollbridge-ingest or tollbridge-worker"),
    meaning: "The service's name in exported spans. OpenTelemetry's SDK reads more OTEL_ variables by itself, such as \
              OTEL_BSP_SCHEDULE_DELAY.",
};

fn endpoint(text: &str) -> Result<String, String> {
    if text.starts_with("http://") {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("is not an http:// URL; name a collector beside this process, such as http://127.0.0.1:4318, and let it speak TLS to others".to_owned())
    }
}

static TRACER: OnceLock<(SdkTracerProvider, SdkTracer)> = OnceLock::new();

/// A place in a trace: the content of a `traceparent` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
}

impl TraceContext {
    /// Reads the `traceparent` of `headers`. `None` if it is missing or cannot be read.
    /// A `tracestate` is not kept.
    #[must_use]
    pub fn extract(headers: &dyn Extractor) -> Option<Self> {
        if headers.get(TRACEPARENT)?.len() < TRACEPARENT_BYTES_MIN {
            return None;
        }
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), headers);
        let span = context.span();
        span.span_context().is_valid().then(|| Self::of(span.span_context()))
    }

    /// Writes the `traceparent` into `headers`.
    pub fn inject(self, headers: &mut dyn Injector) {
        TraceContextPropagator::new().inject_context(&self.remote(), headers);
    }

    /// The trace's id, for logs.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.trace_id.to_string()
    }

    fn of(context: &SpanContext) -> Self {
        Self {
            trace_id: context.trace_id(),
            span_id: context.span_id(),
            flags: context.trace_flags() & TraceFlags::SAMPLED,
        }
    }

    /// A new place under `parent`, or in a trace of its own.
    fn below(parent: Option<Self>) -> Self {
        let ids = RandomIdGenerator::default();
        Self {
            trace_id: parent.map_or_else(|| ids.new_trace_id(), |p| p.trace_id),
            span_id: ids.new_span_id(),
            flags: parent.map_or(TraceFlags::SAMPLED, |p| p.flags),
        }
    }

    fn remote(self) -> Context {
        let context = SpanContext::new(self.trace_id, self.span_id, self.flags, true, TraceState::default());
        Context::new().with_remote_span_context(context)
    }
}

/// The headers of a message, to read a `traceparent` from.
#[derive(Debug)]
pub struct MessageHeaders<'a>(pub &'a FieldTable);

impl Extractor for MessageHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match self.0.inner().get(key)? {
            AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.0.inner().keys().map(lapin::types::ShortString::as_str).collect()
    }
}

/// The headers of a message, to write a `traceparent` into.
#[derive(Debug)]
pub struct MessageHeadersMut<'a>(pub &'a mut FieldTable);

impl Injector for MessageHeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        // The propagator writes an empty `tracestate` too.
        if !value.is_empty() {
            self.0.insert(key.into(), AMQPValue::LongString(value.into()));
        }
    }
}

/// What kind of work a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It answers a request.
    Server,
    /// It puts a message on a queue.
    Producer,
    /// It works on a message.
    Consumer,
}

/// A piece of work on an event: a span of its trace.
#[derive(Debug)]
pub struct Span {
    context: TraceContext,
    exported: Option<opentelemetry_sdk::trace::Span>,
}

impl Span {
    /// Begins a span at the time `began`, under `parent` if there is one.
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
        Self {
            context: TraceContext::of(span.span_context()),
            exported: Some(span),
        }
    }

    /// Its place in the trace.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// Sets an attribute: an id, a type or an outcome, never a payload.
    pub fn set(&mut self, name: &'static str, value: impl Into<opentelemetry::Value>) {
        if let Some(span) = &mut self.exported {
            span.set_attribute(KeyValue::new(name, value));
        }
    }

    /// Marks the span as failed.
    pub fn fail(&mut self, why: String) {
        if let Some(span) = &mut self.exported {
            span.set_status(Status::error(why));
        }
    }

    /// Ends the span now.
    pub fn end(mut self) {
        if let Some(span) = &mut self.exported {
            span.end();
        }
    }
}

/// Exports spans from now on, if [`OTEL_EXPORTER_OTLP_ENDPOINT`] is set. `service` is
/// their service name unless [`OTEL_SERVICE_NAME`] is set.
///
/// # Errors
/// If the endpoint cannot be used.
pub fn init(settings: &Settings, service: &'static str) -> Result<(), SettingError> {
    let Some(endpoint) = settings.find(&OTEL_EXPORTER_OTLP_ENDPOINT)? else {
        return Ok(());
    };
    let url = format!("{endpoint}/v1/traces");
    let exporter = SpanExporter::builder().with_http().with_endpoint(url).build();
    let exporter = exporter.map_err(|e| OTEL_EXPORTER_OTLP_ENDPOINT.error(format!("cannot be used: {e}")))?;
    let name = settings.find(&OTEL_SERVICE_NAME)?.unwrap_or_else(|| service.to_owned());
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

/// Sends the remaining spans at the end of the process. Takes at most five seconds if
/// the collector does not answer.
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

    fn read(text: &str) -> Option<TraceContext> {
        let mut headers = FieldTable::default();
        headers.insert(TRACEPARENT.into(), AMQPValue::LongString(text.into()));
        TraceContext::extract(&MessageHeaders(&headers))
    }

    #[test]
    fn a_traceparent_is_read_and_written_as_it_was() {
        let context = read(GOOD).expect("a traceparent");
        let mut written = FieldTable::default();
        context.inject(&mut MessageHeadersMut(&mut written));
        assert_eq!(written.inner().len(), 1, "no empty tracestate: {written:?}");
        assert_eq!(MessageHeaders(&written).get(TRACEPARENT), Some(GOOD));
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let later = format!("01{}-more", &GOOD[2..]);
        assert_eq!(read(&later), Some(context), "a later version may have more parts");
    }

    #[test]
    fn a_text_that_is_no_traceparent_is_none() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let upper = GOOD.to_uppercase().replacen("00-", "01-", 1);
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
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_span_has_the_trace_id_of_its_parent_or_else_a_new_one() {
        let parent = read(GOOD).expect("a traceparent");
        let span = |parent| Span::begin("x".to_owned(), Role::Server, parent, SystemTime::now()).context();
        let below = span(Some(parent));
        assert_eq!((below.trace_id, below.flags), (parent.trace_id, TraceFlags::SAMPLED));
        assert_ne!(below.span_id, parent.span_id);
        assert_ne!(span(None).trace_id, span(None).trace_id);
    }
}
