//! One trace per event, over both processes, as a collector of the test receives it over OTLP.

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use prost::Message;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::crowd::{all_applied, newcomers};
use tests::harness::{Pair, Setup, TestEnv, USAGE_TOKEN, eventually, header};
use tokio::net::TcpListener;

const DEADLINE: Duration = Duration::from_secs(30);

/// A collector: keeps the spans that it is sent, with the service that sent them.
#[derive(Clone, Debug, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

impl Collector {
    /// Listens until the test's runtime ends; returns where.
    async fn start(&self) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let collector = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let collector = collector.clone();
                let service = service_fn(move |request| collector.clone().take(request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Ok(base)
    }

    async fn take(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        ensure!(request.uri().path() == "/v1/traces", "{}", request.uri());
        let body = request.into_body().collect().await?.to_bytes();
        let sent = ExportTraceServiceRequest::decode(body)?;
        let mut spans = self.0.lock().expect("no test panics with it");
        for resource in sent.resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let service = attributes.iter().find(|a| a.key == "service.name");
            let service = service.map(|a| format!("{:?}", a.value)).unwrap_or_default();
            let all = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(all.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(Full::new(Bytes::new())))
    }

    /// The spans of the trace that names the message `id`, once there are `count` of them.
    async fn trace_of(&self, id: &str, count: usize) -> Vec<(String, Span)> {
        let spans = || self.0.lock().expect("no test panics with it").clone();
        let mut found = Vec::new();
        eventually(DEADLINE, "the spans are exported", async || {
            let all = spans();
            let own = all
                .iter()
                .find(|(_, span)| attribute(span, "messaging.message.id").as_deref() == Some(id));
            let (_, own) = own.context("no span of the message")?;
            found = all
                .iter()
                .filter(|(_, span)| span.trace_id == own.trace_id)
                .cloned()
                .collect();
            ensure!(found.len() == count, "{} of {count}", found.len());
            Ok(())
        })
        .await;
        found
    }
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

fn of_kind(spans: &[(String, Span)], kind: SpanKind) -> Result<&(String, Span)> {
    let found = spans.iter().find(|(_, span)| span.kind == kind as i32);
    found.with_context(|| format!("no {kind:?} span in {spans:?}"))
}

#[tokio::test]
async fn an_event_is_one_trace_from_the_request_to_the_commit_without_its_payload() -> Result<()> {
    let collector = Collector::default();
    let env = TestEnv::new("traces").await?;
    let env = env
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.start().await?)
        .with("OTEL_BSP_SCHEDULE_DELAY", "100");
    let pair = Pair::start(&env, Setup::default()).await?;
    let event = newcomers(env.namespace(), 1).remove(0);
    pair.client.post_event(&event).await?.accepted()?;
    all_applied(env.pool(), std::slice::from_ref(&event.id), DEADLINE).await?;

    let spans = collector.trace_of(&event.id, 3).await;
    let (ingest, answer) = of_kind(&spans, SpanKind::Server)?;
    let (_, send) = of_kind(&spans, SpanKind::Producer)?;
    let (worker, process) = of_kind(&spans, SpanKind::Consumer)?;
    ensure!(ingest.contains("tollbridge-ingest") && worker.contains("tollbridge-worker"));
    ensure!(answer.parent_span_id.is_empty() && answer.name == "POST /webhooks/stripe");
    ensure!(send.parent_span_id == answer.span_id && process.parent_span_id == send.span_id);
    ensure!(attribute(answer, "http.response.status_code").as_deref() == Some("200"));
    ensure!(attribute(process, "tollbridge.outcome").as_deref() == Some("applied"));
    ensure!(process.start_time_unix_nano < process.end_time_unix_nano);
    let all = format!("{spans:?}");
    ensure!(!all.contains("cus_") && !all.contains("user_"), "{all}");

    // A failed event has a failed span; its message names the place.
    let mut poison = event.clone();
    poison.id = "evt_traced_poison".to_owned();
    poison.body = poison
        .body
        .replace(&event.id, &poison.id)
        .replace("\"status\": \"active\"", "\"status\": []");
    pair.client.post_event(&poison).await?.accepted()?;
    let spans = collector.trace_of(&poison.id, 3).await;
    let (_, process) = of_kind(&spans, SpanKind::Consumer)?;
    let status = process.status.clone().unwrap_or_default();
    ensure!(status.message == "malformed" && attribute(process, "tollbridge.outcome").as_deref() == Some("dead"));
    let queues = env.queues().await?;
    let mut dead = Vec::new();
    eventually(DEADLINE, "the dead letter is in its queue", async || {
        dead.extend(queues.take_all(&env.topology().dead()).await?);
        ensure!(dead.len() == 1);
        Ok(())
    })
    .await;
    let carried = header(&dead[0], shared::trace::TRACEPARENT).context("no traceparent")?;
    ensure!(carried.contains(&hex::encode(&process.trace_id)), "{carried}");
    Ok(())
}

#[tokio::test]
async fn reported_usage_continues_the_trace_of_the_work_that_used_it() -> Result<()> {
    let collector = Collector::default();
    let env = TestEnv::new("traces_usage").await?;
    let env = env
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.start().await?)
        .with("OTEL_BSP_SCHEDULE_DELAY", "100");
    let pair = Pair::start(&env, Setup::default()).await?;
    let work = "4bf92f3577b34da6a3ce929d0e0e4736";
    let token = format!("Bearer {USAGE_TOKEN}");
    let parent = format!("00-{work}-00f067aa0ba902b7-01");
    let headers = [
        ("content-type", "application/cloudevents+json"),
        ("authorization", token.as_str()),
        ("traceparent", parent.as_str()),
    ];
    let report = r#"{"specversion":"1.0","type":"usage","source":"/t","id":"1","subject":"u1","data":{"meter":"tokens","amount":1}}"#;
    let answer = pair
        .client
        .request(
            Method::POST,
            "/v1/usage",
            &headers,
            Bytes::from_static(report.as_bytes()),
        )
        .await?;
    ensure!(answer.status == 202, "{answer:?}");
    let spans = collector.trace_of("/t 1", 3).await;
    let (_, answer) = of_kind(&spans, SpanKind::Server)?;
    ensure!(hex::encode(&answer.trace_id) == work && hex::encode(&answer.parent_span_id) == "00f067aa0ba902b7");
    Ok(())
}
