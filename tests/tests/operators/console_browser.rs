//! The console in a real browser: an operator's work page by page, by keyboard and on a phone.

use anyhow::{Context, Result, ensure};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tests::crowd::{Senders, all_applied, all_recorded, ids};
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, Customer, DAY, Event, Mint, Subscription, price};
use tests::harness::{
    Browser, OPS_TOKEN, Pair, Setup, TestEnv, Viewport, report, report_key, repository, unix_now, wait_for,
};
use tests::test_catalog::{TestCatalog, restart};

const DEADLINE: Duration = Duration::from_secs(30);
/// A customer is a customer, whatever they are called.
const HOSTILE: &str = "<script>document.title='owned'</script>\"><img src=x onerror=alert(1)>\u{202e}gnp";

#[tokio::test]
async fn an_operator_finds_a_dead_letter_repairs_its_cause_and_sees_it_applied() -> Result<()> {
    let shop = TestCatalog::new("console")?;
    let env = TestEnv::new("console").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let letter = history(&env, &pair).await?;
    let browser = Browser::open("console").await?;
    let visit = Visit::new(&browser, &pair)?;

    visit.logs_in().await?;
    visit.looks_around(&letter.id).await?;
    visit.sees_what_a_use_took().await?;
    visit.finds_the_customer(&letter.id).await?;
    visit.is_told_that_the_price_is_still_unknown(&letter.id).await?;
    shop.add_price(price::UNKNOWN.lookup_key)?;
    restart(&mut pair).await?;
    visit.replays(&letter.id).await?;
    all_applied(env.pool(), std::slice::from_ref(&letter.id), DEADLINE).await?;
    visit.sees_it_applied(&letter.id).await?;
    visit.watches_an_action(&env).await?;
    visit.is_refused_a_forged_form().await?;
    visit.logs_out().await?;
    let flaws = visit.flaws.into_inner();
    ensure!(flaws.is_empty(), "{}", flaws.join("\n\n"));
    Ok(())
}

/// A user with a history, a user with a hostile name, and dead letters for two reasons.
async fn history(env: &TestEnv, pair: &Pair) -> Result<Event> {
    let start = unix_now() - 100 * DAY;
    let mut ada = Customer::new(ApiVersion::Y2026, "user_ada", start, BASIC_MONTHLY, true);
    for (number, act) in ada.credit_history(false).into_iter().enumerate() {
        let at = act.last().context("an act has events")?.created + 3_600;
        Senders::start(&pair.client, &act, 1).finish().await?;
        all_recorded(env.pool(), &ids(&act), DEADLINE).await?;
        let used = report(&format!("chat-{number}"), "user_ada", "tokens", 1_700_000, at)?;
        pair.client.post_usage(&used).await?;
        all_recorded(env.pool(), &[report_key(&used)?], DEADLINE).await?;
    }
    let hostile = Customer::new(ApiVersion::Y2026, HOSTILE, unix_now() - DAY, BASIC_MONTHLY, true).subscribed();
    Senders::start(&pair.client, &hostile, 1).finish().await?;
    let mut broken = vec![hostile[0].clone(); 3];
    for (number, event) in broken.iter_mut().enumerate() {
        let id = format!(
            "evt_broken{number}{}",
            if number == 0 { "<b>".repeat(60) } else { String::new() }
        );
        event.body = event
            .body
            .replace(&event.id, &id)
            .replace("\"status\": \"active\"", "\"status\": []");
        event.id = id;
    }
    let mut mint = Mint::new(ApiVersion::Y2026, "console-price");
    let (customer, now) = (mint.id("cus"), unix_now());
    let subscription = Subscription::new(&mut mint, &customer, price::UNKNOWN, now).of_user("user_grace");
    let letter = mint.event("customer.subscription.created", now, &subscription);
    broken.push(letter.clone());
    for event in &broken {
        pair.client.post_event(event).await?.accepted()?;
    }
    all_recorded(env.pool(), &ids(&broken), DEADLINE).await?;
    all_recorded(env.pool(), &ids(&hostile), DEADLINE).await?;
    Ok(letter)
}

/// An operator before the browser.
struct Visit<'a> {
    browser: &'a Browser,
    address: String,
    pictures: PathBuf,
    /// Every flaw in the look of any page; they are reported together at the end.
    flaws: RefCell<Vec<String>>,
}

impl<'a> Visit<'a> {
    fn new(browser: &'a Browser, pair: &Pair) -> Result<Self> {
        let pictures = repository().join("target/console");
        std::fs::create_dir_all(&pictures)?;
        Ok(Self {
            browser,
            address: format!("http://{}", pair.workers[0].ops().server()),
            pictures,
            flaws: RefCell::default(),
        })
    }

    async fn opens(&self, path: &str) -> Result<()> {
        self.browser.go(&format!("{}{path}", self.address)).await
    }

    async fn arrives(&self, at: &str) -> Result<()> {
        wait_for(DEADLINE, "the page is there", async || {
            let path = self.browser.path().await?;
            ensure!(path == at, "{path} is not {at}");
            Ok(())
        })
        .await
    }

    /// Waits for the page that says all of this: a click does not wait for its page.
    async fn reads(&self, words: &[&str]) -> Result<()> {
        let what = format!("the page says {words:?}");
        wait_for(DEADLINE, &what, async || {
            let (text, at) = (self.browser.text().await?, self.browser.path().await?);
            for word in words {
                ensure!(text.contains(word), "no '{word}' at {at}:\n{text}");
            }
            Ok(())
        })
        .await
    }

    /// Checks the page that is shown, in every way in which it may be looked at, and takes its pictures.
    async fn checks(&self, name: &str) -> Result<()> {
        for sight in Viewport::ALL {
            self.browser.look(sight).await?;
            let violations = self.browser.violations().await?;
            let found = violations.into_iter().map(|v| format!("{name} at {sight:?}: {v}"));
            self.flaws.borrow_mut().extend(found);
            let wide = self.browser.run("return document.documentElement.scrollWidth").await?;
            if wide.as_u64().is_none_or(|wide| wide > u64::from(sight.width)) {
                self.flaws
                    .borrow_mut()
                    .push(format!("{name} is {wide} wide at {sight:?}"));
            }
            let title = self.browser.run("return document.title").await?;
            ensure!(title != "owned", "{name}: a script of a payload ran");
            self.picture(name, sight).await?;
        }
        self.browser.look(Viewport::ALL[0]).await
    }

    async fn picture(&self, name: &str, sight: Viewport) -> Result<()> {
        let file = format!("{name}-{}-{}.png", sight.scheme, sight.width);
        self.browser.picture(&self.pictures.join(Path::new(&file))).await
    }

    async fn logs_in(&self) -> Result<()> {
        self.opens("/console/dead-letters?reason=unknown_price").await?;
        self.checks("login").await?;
        self.browser.type_into("#operator", "Ada").await?;
        self.browser
            .type_into("#token", "not-the-token-of-anything\u{e007}")
            .await?;
        self.reads(&["This is not the token."]).await?;
        self.checks("login-refused").await?;
        // The name is still there; Enter sends the form.
        self.browser
            .type_into("#token", &format!("{OPS_TOKEN}\u{e007}"))
            .await?;
        self.arrives("/console/dead-letters?reason=unknown_price").await
    }

    /// Every page, with what it must say.
    async fn looks_around(&self, letter: &str) -> Result<()> {
        // The queues are looked at every few seconds.
        wait_for(DEADLINE, "the overview knows the queues", async || {
            self.opens("/").await?;
            let text = self.browser.text().await?;
            ensure!(text.contains("dead 4"), "{text}");
            Ok(())
        })
        .await?;
        self.reads(&[
            "Overview",
            "unknown_price",
            "malformed",
            letter,
            "customer.subscription.created",
        ])
        .await?;
        self.checks("overview").await?;
        self.opens("/console/dead-letters").await?;
        self.reads(&["4 match", letter, "evt_broken1"]).await?;
        self.checks("dead-letters").await?;
        self.opens("/console/users/user_ada").await?;
        self.reads(&["user_ada may use", "effective_tier", "Over time", "tokens", "grant of"])
            .await?;
        self.checks("user").await?;
        self.searches(HOSTILE).await?;
        self.reads(&["<script>document.title='owned'</script>\"><img src=x onerror=alert(1)>\\u{202e}gnp"])
            .await?;
        self.checks("user-hostile").await?;
        self.searches("nobody").await?;
        self.reads(&["Nothing is known by this id"]).await?;
        self.checks("search-nothing").await
    }

    async fn searches(&self, id: &str) -> Result<()> {
        self.browser.run("document.querySelector('#q').value = ''").await?;
        self.browser.type_into("#q", &format!("{id}\u{e007}")).await
    }

    async fn is_told_that_the_price_is_still_unknown(&self, letter: &str) -> Result<()> {
        self.opens("/console/dead-letters?reason=unknown_price").await?;
        self.browser.follow(letter).await?;
        self.reads(&["waits for an operator", "unknown_price", "catalog", "lookup_key"])
            .await?;
        self.checks("dead-letter").await?;
        self.browser.follow("Replay…").await?;
        self.reads(&[
            "Replay one dead letter?",
            "dead",
            "No row that applications read would change.",
        ])
        .await?;
        self.checks("replay-in-vain").await
    }

    /// Of whom nothing else is known: their letters lead back to it.
    async fn finds_the_customer(&self, letter: &str) -> Result<()> {
        self.opens(&format!("/console/dead-letters/{letter}")).await?;
        self.browser.click("dd a[href^='/console/search?q=cus_']").await?;
        self.reads(&["Only dead letters have this id", letter, "open"]).await?;
        self.checks("search-letters").await?;
        self.browser
            .click("main a[href^='/console/dead-letters?customer=cus_']")
            .await?;
        self.reads(&["One matches.", letter]).await
    }

    /// The page of a usage report names its user and its units.
    async fn sees_what_a_use_took(&self) -> Result<()> {
        self.searches("/app chat-0").await?;
        self.reads(&[
            "The time of use, as the application reported it.",
            "1,700,000",
            "tokens",
        ])
        .await?;
        self.checks("event-use").await?;
        self.browser.follow("user_ada").await?;
        self.reads(&["user_ada may use"]).await
    }

    async fn replays(&self, letter: &str) -> Result<()> {
        // The session is older than the worker.
        self.searches(letter).await?;
        self.browser.follow("dead letter").await?;
        self.browser.follow("Replay…").await?;
        self.reads(&["applied", "Entitlement of user_grace", "effective_tier", "plus"])
            .await?;
        self.checks("replay").await?;
        self.browser
            .type_into("#why", "the catalog knows the price now")
            .await?;
        self.browser.click("main button[type=submit]").await?;
        self.reads(&["1 of 1 put back to work", "1 applied or ignored"]).await?;
        self.reads(&["the catalog knows the price now", "by Ada", "console"])
            .await?;
        self.checks("action").await
    }

    async fn sees_it_applied(&self, letter: &str) -> Result<()> {
        self.browser.follow(letter).await?;
        self.reads(&["applied at", "replay by Ada"]).await?;
        self.checks("dead-letter-applied").await?;
        self.browser.click("dd a[href^='/console/events/']").await?;
        self.reads(&["Outcome: applied", "gives plus", "user_grace", "It was a dead letter"])
            .await?;
        self.checks("event").await?;
        self.browser.follow("user_grace").await?;
        self.reads(&["user_grace may use plus"]).await?;
        self.browser.follow("Actions").await?;
        self.reads(&["Ada", "replay", letter]).await?;
        self.checks("actions").await?;
        self.opens("/console/discard?id=evt_broken1&id=evt_broken2").await?;
        self.reads(&["Discard 2 dead letters?"]).await?;
        self.checks("discard").await?;
        self.browser.type_into("#why", "of a test\u{e007}").await?;
        self.reads(&["2 discarded"]).await
    }

    /// One that somebody else began, and that is not at its end.
    async fn watches_an_action(&self, env: &TestEnv) -> Result<()> {
        let begun = "INSERT INTO billing.operator_action (operator, via, action, selection, letters)
                     VALUES ('Grace', 'command', 'replay', 'all', 10000) RETURNING action_id";
        let action: i64 = sqlx::query_scalar(begun).fetch_one(env.pool()).await?;
        self.opens(&format!("/console/actions/{action}")).await?;
        self.reads(&["replay by Grace", "0 of 10,000 put back to work", "reloads every 2 s"])
            .await?;
        self.browser.follow("Stop reloading").await?;
        self.reads(&["The action is running."]).await?;
        self.checks("action-under-way").await
    }

    async fn is_refused_a_forged_form(&self) -> Result<()> {
        self.browser.follow("Dead letters").await?;
        self.browser.click("tbody input[type=checkbox]").await?;
        self.browser.click("main form.stack button.quiet").await?;
        self.reads(&["Discard one dead letter?"]).await?;
        self.browser
            .run("document.querySelector('main [name=form]').value = '00'")
            .await?;
        self.browser.type_into("#why", "of somebody else\u{e007}").await?;
        self.reads(&["Forbidden", "not one of your session"]).await?;
        self.checks("forged").await?;
        self.browser.follow("To the overview").await?;
        self.reads(&["Overview", "1 open"]).await
    }

    async fn logs_out(&self) -> Result<()> {
        self.browser.click(".leave button").await?;
        self.arrives("/console/login").await?;
        self.opens("/console/actions").await?;
        self.arrives("/console/login?next=%2Fconsole%2Factions").await
    }
}
