//! A headless Chromium, controlled through chromedriver. Implements the part of the `WebDriver` protocol that
//! the tests need.

use crate::harness::ports::free_address;
use crate::harness::process::fresh_folder;
use crate::harness::{Client, installed, wait_for};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

const START: Duration = Duration::from_secs(30);
/// The key of an element's id (`WebDriver`: Elements).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    driver: Client,
    session: String,
    /// The script of axe-core, which finds accessibility errors.
    axe: String,
    profile: PathBuf,
    child: Child,
}

/// The colour scheme and the width of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewport {
    /// `light` or `dark`.
    pub scheme: &'static str,
    /// In CSS pixels.
    pub width: u32,
}

impl Viewport {
    /// Both schemes, on a desktop and on a phone.
    pub const ALL: [Self; 4] = [
        Self::new("light", 1_280),
        Self::new("dark", 1_280),
        Self::new("light", 390),
        Self::new("dark", 390),
    ];

    const fn new(scheme: &'static str, width: u32) -> Self {
        Self { scheme, width }
    }
}

impl Browser {
    /// Starts a browser with an empty profile.
    ///
    /// # Errors
    /// When Chromium, chromedriver or axe-core is not installed.
    pub async fn open(name: &str) -> Result<Self> {
        let [chromium, chromedriver] = installed("chromium")?;
        let [axe] = installed("axe")?;
        let profile = std::env::temp_dir().join(format!("tollbridge-browser-{name}-{}", std::process::id()));
        fresh_folder(&profile)?;
        let address = free_address()?;
        let log = std::fs::File::create(profile.with_extension("log"))?;
        let child = Command::new(chromedriver)
            .arg(format!("--port={}", address.port()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let mut browser = Self {
            driver: Client::new(address, ""),
            session: String::new(),
            axe: std::fs::read_to_string(axe)?,
            profile,
            child,
        };
        wait_for(START, "chromedriver answers", async || {
            browser.driver.get("/status").await?.accepted()
        })
        .await?;
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &format!("--user-data-dir={}", browser.profile.display()),
        ];
        let options = json!({"binary": chromium, "args": arguments});
        let wish = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}});
        let opened = browser.ask(Method::POST, "/session", &wish).await?;
        let session = opened["sessionId"].as_str().context("no session")?;
        session.clone_into(&mut browser.session);
        Ok(browser)
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let body = if method == Method::POST {
            body.to_string()
        } else {
            String::new()
        };
        let headers = [("content-type", "application/json")];
        let answer = self.driver.request(method, path, &headers, Bytes::from(body)).await?;
        let mut value: Value = serde_json::from_str(&answer.body)?;
        ensure!(answer.status == 200, "{path}: {}", value["value"]["message"]);
        Ok(value["value"].take())
    }

    async fn command(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let path = format!("/session/{}{path}", self.session);
        self.ask(method, &path, &body).await
    }

    /// Opens an address, and waits until the page is loaded.
    ///
    /// # Errors
    /// When there is none.
    pub async fn go(&self, url: &str) -> Result<()> {
        self.command(Method::POST, "/url", json!({"url": url})).await?;
        Ok(())
    }

    /// The path of the current page, with its query.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn path(&self) -> Result<String> {
        let path = self.run("return location.pathname + location.search").await?;
        Ok(path.as_str().unwrap_or_default().to_owned())
    }

    /// Runs the body of a function in the page.
    ///
    /// # Errors
    /// The error that it throws.
    pub async fn run(&self, script: &str) -> Result<Value> {
        let body = json!({"script": script, "args": []});
        self.command(Method::POST, "/execute/sync", body).await
    }

    async fn element(&self, using: &str, value: &str) -> Result<String> {
        let body = json!({"using": using, "value": value});
        let found = self.command(Method::POST, "/element", body).await;
        let found = found.with_context(|| format!("no {value}"))?;
        Ok(found[ELEMENT].as_str().context("not an element")?.to_owned())
    }

    /// Clicks the first element of a CSS selector.
    ///
    /// # Errors
    /// When there is no such element, or another one covers it.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let element = self.element("css selector", selector).await?;
        self.command(Method::POST, &format!("/element/{element}/click"), json!({}))
            .await?;
        Ok(())
    }

    /// Clicks the link with this text.
    ///
    /// # Errors
    /// When there is none.
    pub async fn follow(&self, text: &str) -> Result<()> {
        let element = self.element("link text", text).await?;
        self.command(Method::POST, &format!("/element/{element}/click"), json!({}))
            .await?;
        Ok(())
    }

    /// Types `keys` into the first element of a CSS selector.
    ///
    /// # Errors
    /// When there is no such element, or it accepts no text.
    pub async fn type_into(&self, selector: &str, keys: &str) -> Result<()> {
        let element = self.element("css selector", selector).await?;
        let path = format!("/element/{element}/value");
        self.command(Method::POST, &path, json!({"text": keys})).await?;
        Ok(())
    }

    /// The visible text of the page.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn text(&self) -> Result<String> {
        let element = self.element("css selector", "main").await?;
        let path = format!("/element/{element}/text");
        let text = self.command(Method::GET, &path, Value::Null).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({"cmd": command, "params": parameters});
        self.command(Method::POST, "/goog/cdp/execute", body).await
    }

    /// Changes the colour scheme and the width.
    ///
    /// # Errors
    /// When the browser has ended.
    pub async fn look(&self, viewport: Viewport) -> Result<()> {
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": viewport.scheme}]});
        self.devtools("Emulation.setEmulatedMedia", scheme).await?;
        let is_phone = viewport.width < 600;
        let screen = json!({"width": viewport.width, "height": 844, "deviceScaleFactor": 1, "mobile": is_phone});
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await?;
        Ok(())
    }

    /// Writes a screenshot of the whole page, as PNG.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn picture(&self, file: &Path) -> Result<()> {
        let how = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.devtools("Page.captureScreenshot", how).await?;
        let text = picture["data"].as_str().context("no picture")?;
        std::fs::write(file, base64(text)?)?;
        Ok(())
    }

    /// The accessibility errors that axe-core finds, each with its name and place.
    ///
    /// # Errors
    /// When it cannot run.
    pub async fn violations(&self) -> Result<Vec<String>> {
        let script = format!("{}; axe.run().then(r => JSON.stringify(r.violations))", self.axe);
        let how = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let done = self.devtools("Runtime.evaluate", how).await?;
        let found = done["result"]["value"].as_str();
        let found = found.with_context(|| format!("axe-core failed: {done}"))?;
        let found: Vec<Value> = serde_json::from_str(found)?;
        let words = |v: &Value| {
            let nodes = v["nodes"].as_array().into_iter().flatten();
            let places = nodes.map(|n| format!("{} {}", n["html"], n["failureSummary"]));
            format!("{}: {}", v["id"], places.collect::<Vec<_>>().join("\n  "))
        };
        Ok(found.iter().map(words).collect())
    }
}

impl Drop for Browser {
    /// Killing chromedriver would leave Chromium running, so Chromium is closed first.
    fn drop(&mut self) {
        let (driver, path) = (self.driver.clone(), format!("/session/{}", self.session));
        let closing = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let close = driver.request(Method::DELETE, &path, &[], Bytes::new());
            runtime.block_on(async { tokio::time::timeout(START, close).await })??;
            Ok(())
        });
        // A browser that does not close has crashed.
        let _closed = closing.join();
        let _ended = self.child.start_kill();
        let _removed = std::fs::remove_dir_all(&self.profile);
        let _forgotten = std::fs::remove_file(self.profile.with_extension("log"));
    }
}

/// Decodes base64 (RFC 4648), the form of screenshots in JSON.
fn base64(text: &str) -> Result<Vec<u8>> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut buffer, mut bits) = (0_u32, 0);
    for letter in text.bytes().filter(|b| *b != b'=') {
        let value = LETTERS.iter().position(|l| *l == letter).context("not base64")?;
        buffer = (buffer << 6 | u32::try_from(value)?) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits & 0xff)?);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_read() -> anyhow::Result<()> {
        for (text, bytes) in [
            ("", &b""[..]),
            ("TQ==", b"M"),
            ("TWE=", b"Ma"),
            ("TWFu", b"Man"),
            ("/+8A", &[255, 239, 0]),
        ] {
            anyhow::ensure!(base64(text)? == bytes, "{text}");
        }
        anyhow::ensure!(base64("T W").is_err());
        Ok(())
    }
}
