//! The console under attack: requests that no browser would send.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use std::time::Duration;
use tests::crowd::{Senders, all_recorded, ids};
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, Customer, DAY};
use tests::harness::{Answer, Client, OPS_TOKEN, Pair, Setup, TestEnv, console_session, unix_now};

const DEADLINE: Duration = Duration::from_secs(30);
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
/// Names that want to be more than names.
const HOSTILE: [&str; 4] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "\u{202e}drowssap/../?x=1#y&z=%00",
    "' OR 1=1 --",
];

/// Somebody with a client, perhaps logged in.
struct Visitor<'a> {
    client: &'a Client,
    cookie: String,
}

impl<'a> Visitor<'a> {
    fn stranger(client: &'a Client) -> Self {
        Self {
            client,
            cookie: "none=".to_owned(),
        }
    }

    async fn logged_in(client: &'a Client) -> Result<Self> {
        Ok(Self {
            client,
            cookie: console_session(client).await?,
        })
    }

    async fn gets(&self, path: &str) -> Result<Answer> {
        let headers = [("cookie", self.cookie.as_str())];
        protected(self.client.request(Method::GET, path, &headers, Bytes::new()).await?)
    }

    async fn posts(&self, path: &str, further: &[(&str, &str)], body: &str) -> Result<Answer> {
        let headers = [&[("cookie", self.cookie.as_str()), FORM], further].concat();
        let body = Bytes::copy_from_slice(body.as_bytes());
        protected(self.client.request(Method::POST, path, &headers, body).await?)
    }

    /// The token of this session's forms.
    async fn form(&self) -> Result<String> {
        let page = self.gets("/console").await?;
        let (_, rest) = page.body.split_once("name=\"form\" value=\"").context("no form")?;
        Ok(rest.split('"').next().unwrap_or_default().to_owned())
    }
}

async fn log_in(client: &Client, token: &str, further: &[(&str, &str)]) -> Result<Answer> {
    let headers = [&[FORM], further].concat();
    let body = Bytes::from(format!("operator=Eve&token={token}"));
    protected(client.request(Method::POST, "/console/login", &headers, body).await?)
}

fn header(answer: &Answer, name: &str) -> Result<String> {
    let value = answer.headers.get(name).with_context(|| format!("no {name}"))?;
    Ok(value.to_str()?.to_owned())
}

/// What every answer of the console must have, errors too.
fn protected(answer: Answer) -> Result<Answer> {
    let policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                  frame-ancestors 'none'";
    for (name, value) in [
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        let given = header(&answer, name)?;
        ensure!(given == value, "{name}: {given}");
    }
    let is_style = header(&answer, "content-type").is_ok_and(|of| of.starts_with("text/css"));
    let kept = header(&answer, "cache-control")?;
    ensure!(is_style || kept == "no-store", "cache-control: {kept}");
    Ok(answer)
}

#[tokio::test]
async fn without_a_token_there_is_no_console_and_health_needs_none() -> Result<()> {
    let env = TestEnv::new("console_off").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let ops = pair.workers[0].ops();
    for path in ["/", "/console", "/console/login", "/console/style.css"] {
        let answer = ops.get(path).await?;
        ensure!(answer.status == StatusCode::NOT_FOUND, "{path}: {}", answer.status);
    }
    let on = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    for client in [ops, on.workers[0].ops()] {
        for path in ["/healthz", "/readyz", "/metrics"] {
            client.get(path).await?.accepted()?;
        }
    }
    let metrics = on.workers[0].ops().get("/metrics").await?;
    ensure!(!metrics.body.contains(OPS_TOKEN));
    Ok(())
}

#[tokio::test]
async fn a_visitor_who_is_not_logged_in_sees_only_the_login() -> Result<()> {
    let env = TestEnv::new("console_door").await?;
    let pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let client = pair.workers[0].ops();
    let real = Visitor::logged_in(client).await?;
    let (name, value) = real.cookie.split_once('=').context("a cookie")?;
    let later = value.replacen("v1.", "v2.", 1);
    // A session that ended in 2001, without a valid signature.
    let expired = format!("v1.457665.1000000000.{}.{}", "00".repeat(16), "00".repeat(32));
    let forged = ["", "v1....", &value[..value.len() - 1], &later, &expired].map(|v| format!("{name}={v}"));
    let other = format!("other={value}");
    for cookie in forged.iter().chain([&other]) {
        let visitor = Visitor {
            client,
            cookie: cookie.clone(),
        };
        for path in [
            "/console",
            "/console/dead-letters",
            "/console/users/x",
            "/console/nothing",
        ] {
            let answer = visitor.gets(path).await?;
            let to = header(&answer, "location")?;
            ensure!(
                answer.status == StatusCode::SEE_OTHER && to.starts_with("/console/login"),
                "{cookie}: {to}"
            );
        }
        for path in ["/console/replay", "/console/discard", "/console/logout"] {
            let answer = visitor.posts(path, &[], "all=1&why=x").await?;
            ensure!(answer.status == StatusCode::UNAUTHORIZED, "{path}: {}", answer.status);
        }
    }
    let answer = real.gets("/console").await?;
    ensure!(answer.status == StatusCode::OK && answer.body.contains("Overview"));
    let missing = real.gets("/console/nothing/%3Cb%3E").await?;
    ensure!(missing.status == StatusCode::NOT_FOUND && !missing.body.contains("<b>"));
    let style = Visitor::stranger(client).gets("/console/style.css").await?;
    style.accepted()?;

    let answer = log_in(client, OPS_TOKEN, &[("x-forwarded-proto", "https")]).await?;
    let cookie = header(&answer, "set-cookie")?;
    for attribute in [
        "; Path=/console",
        "; HttpOnly",
        "; SameSite=Strict",
        "; Secure",
        "; Max-Age=43200",
    ] {
        ensure!(cookie.contains(attribute), "{cookie}");
    }
    Ok(())
}

#[tokio::test]
async fn a_form_of_another_session_or_site_does_nothing() -> Result<()> {
    let env = TestEnv::new("console_forged").await?;
    let pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let client = pair.workers[0].ops();
    let (eve, ada) = (Visitor::logged_in(client).await?, Visitor::logged_in(client).await?);
    let (own, foreign) = (eve.form().await?, ada.form().await?);
    ensure!(own != foreign, "each session has its own");
    let host = client.server().to_string();
    let (here, elsewhere) = (format!("http://{host}"), "http://evil.example");
    let right = format!("form={own}&all=1&why=x");
    for (headers, body) in [
        (vec![], "all=1&why=x".to_owned()),
        (vec![], "form=&all=1&why=x".to_owned()),
        (vec![], format!("form={foreign}&all=1&why=x")),
        (vec![], format!("form={}&all=1&why=x", "0".repeat(64))),
        (vec![("origin", elsewhere)], right.clone()),
        (vec![("origin", "null")], right.clone()),
        (vec![("sec-fetch-site", "cross-site")], right.clone()),
        (
            vec![("origin", here.as_str()), ("sec-fetch-site", "same-site")],
            right.clone(),
        ),
    ] {
        for path in ["/console/replay", "/console/discard", "/console/logout"] {
            let answer = eve.posts(path, &headers, &body).await?;
            ensure!(
                answer.status == StatusCode::FORBIDDEN,
                "{path} {headers:?} {body}: {}",
                answer.status
            );
        }
    }
    let refused = log_in(client, OPS_TOKEN, &[("origin", elsewhere)]).await?;
    ensure!(refused.status == StatusCode::FORBIDDEN, "{}", refused.status);
    // The same form, from here: there is nothing to discard, which is another answer.
    let answer = eve.posts("/console/discard", &[("origin", &here)], &right).await?;
    ensure!(
        answer.status == StatusCode::NOT_FOUND,
        "{} {}",
        answer.status,
        answer.body
    );
    let long = format!("form={own}&all=1&why={}", "x".repeat(200_000));
    let answer = eve.posts("/console/discard", &[], &long).await?;
    ensure!(answer.status == StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.status);
    let actions: i64 = sqlx::query_scalar("SELECT count(*) FROM billing.operator_action")
        .fetch_one(env.pool())
        .await?;
    ensure!(actions == 0, "{actions} actions");
    Ok(())
}

#[tokio::test]
async fn after_five_wrong_tokens_even_the_right_one_must_wait() -> Result<()> {
    let env = TestEnv::new("console_guess").await?;
    let pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let client = pair.workers[0].ops();
    // What has not happened is counted: a series that begins with it has no increase.
    let metrics = client.get("/metrics").await?.body;
    for outcome in ["accepted", "refused", "throttled"] {
        let series = format!("tollbridge_console_logins_total{{outcome=\"{outcome}\"}} 0\n");
        ensure!(metrics.contains(&series), "{series}");
    }
    let session = Visitor::logged_in(client).await?;
    for number in 0..5 {
        let answer = log_in(client, &format!("sesame-{number}"), &[]).await?;
        ensure!(answer.status == StatusCode::UNAUTHORIZED, "{}", answer.status);
    }
    // From now on the answer does not show whether the token is right.
    for token in ["sesame-6", OPS_TOKEN] {
        let answer = log_in(client, token, &[("x-forwarded-for", "10.1.2.3")]).await?;
        ensure!(answer.status == StatusCode::TOO_MANY_REQUESTS, "{}", answer.status);
        let wait: u64 = header(&answer, "retry-after")?.parse()?;
        ensure!((30..=60).contains(&wait), "{wait}");
    }
    session.gets("/console").await?.accepted()?;
    let metrics = pair.workers[0].metrics().await?;
    let logins = |outcome: &str| metrics.get(&format!("tollbridge_console_logins_total{{outcome=\"{outcome}\"}}"));
    ensure!((logins("accepted"), logins("refused"), logins("throttled")) == (1, 5, 2));
    let log = pair.workers[0].log();
    ensure!(
        !log.contains("sesame") && !log.contains(OPS_TOKEN),
        "a token is in the log"
    );
    Ok(())
}

#[tokio::test]
async fn markup_in_a_payload_is_shown_as_text_on_every_page() -> Result<()> {
    let env = TestEnv::new("console_hostile").await?;
    let pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let long = "x<y>".repeat(60);
    let names: Vec<&str> = HOSTILE.into_iter().chain([long.as_str()]).collect();
    let mut letters = Vec::new();
    for name in &names {
        let events = Customer::new(ApiVersion::Y2026, name, unix_now() - DAY, BASIC_MONTHLY, true).subscribed();
        Senders::start(&pair.client, &events, 1).finish().await?;
        all_recorded(env.pool(), &ids(&events), DEADLINE).await?;
        // The same, with a hostile id and customer, and dead.
        let mut body: serde_json::Value = serde_json::from_str(&events[0].body)?;
        let id: String = format!("evt_{name}").chars().take(200).collect();
        body["id"] = id.clone().into();
        body["data"]["object"]["customer"] = (*name).into();
        body["data"]["object"]["status"] = serde_json::json!([name]);
        pair.client
            .post_signed(Bytes::from(body.to_string()))
            .await?
            .accepted()?;
        letters.push(id);
    }
    all_recorded(env.pool(), &letters, DEADLINE).await?;
    let visitor = Visitor::logged_in(pair.workers[0].ops()).await?;
    let mut pages = vec!["/console".to_owned(), "/console/dead-letters".to_owned()];
    let coded = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<Vec<_>>().concat();
    for name in &names {
        pages.extend([
            format!("/console/users/{}", coded(name)),
            format!("/console/dead-letters?customer={}", coded(name)),
            format!("/console/dead-letters?type={}", coded(name)),
            format!("/console/search?q={}nobody", coded(name)),
        ]);
    }
    for id in &letters {
        let id = coded(id);
        pages.extend(["/console/dead-letters/", "/console/events/"].map(|page| format!("{page}{id}")));
        pages.extend(["/console/replay?id=", "/console/discard?id="].map(|page| format!("{page}{id}")));
    }
    for page in pages {
        let answer = visitor.gets(&page).await?;
        ensure!(
            answer.status == StatusCode::OK,
            "{page}: {} {}",
            answer.status,
            answer.body
        );
        for raw in ["<script", "<img", "x<y"] {
            ensure!(!answer.body.contains(raw), "{page} has {raw}");
        }
        // What a form sends back is as it was; nothing of that is shown as text.
        let mut shown = answer
            .body
            .split(" value=\"")
            .map(|rest| rest.split_once('"').map_or("", |(_, rest)| rest));
        let first = answer.body.split(" value=\"").next().unwrap_or_default();
        ensure!(
            !first.contains('\u{202e}') && shown.all(|text| !text.contains('\u{202e}')),
            "{page} is turned round"
        );
    }
    for page in ["users", "events", "dead-letters", "actions"] {
        let answer = visitor
            .gets(&format!("/console/{page}/{}", coded("<script>\0")))
            .await?;
        ensure!(!answer.body.contains("<script"), "{page}");
        ensure!(
            answer.status == StatusCode::NOT_FOUND,
            "{page}: {} {}",
            answer.status,
            answer.body
        );
    }
    for page in [
        "dead-letters?reason=%3Cscript%3E",
        "dead-letters?older=%3Cscript%3E",
        "replay?id=%3Cscript%3E",
    ] {
        let answer = visitor.gets(&format!("/console/{page}")).await?;
        ensure!(
            answer.status.is_client_error() && !answer.body.contains("<script"),
            "{page}: {}",
            answer.status
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_page_of_a_running_action_reloads_until_the_operator_stops_it() -> Result<()> {
    let env = TestEnv::new("console_again").await?;
    let pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let visitor = Visitor::logged_in(pair.workers[0].ops()).await?;
    let begun = "INSERT INTO billing.operator_action (operator, via, action, selection, letters)
                 VALUES ('Ada', 'console', 'replay', 'all', 1) RETURNING action_id";
    let action: i64 = sqlx::query_scalar(begun).fetch_one(env.pool()).await?;
    let refresh = async |query: &str| -> Result<Option<String>> {
        let answer = visitor.gets(&format!("/console/actions/{action}{query}")).await?;
        answer.accepted()?;
        Ok(header(&answer, "refresh").ok())
    };
    ensure!(refresh("").await?.as_deref() == Some("2"));
    ensure!(refresh("?still=1").await?.is_none());
    let ended = "UPDATE billing.operator_action SET finished_at = now(), outcome = 'all is done'";
    sqlx::query(ended).execute(env.pool()).await?;
    ensure!(refresh("").await?.is_none(), "it has ended");
    Ok(())
}
