//! Chromium without a window, driven through chromedriver (WebDriver).

use crate::command::{self, Running};
use crate::http::Connection;
use crate::quiet_network::QuietNetwork;
use crate::wait::wait_for;
use serde_json::{Value, json};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// For whatever a page is to show in the end.
const LIMIT: Duration = crate::wait::LEAST;
/// The name under which WebDriver has the identifier of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// What WebDriver takes for the return key.
pub const ENTER: &str = "\u{e007}";

/// A browser with a profile and a network of its own, on one page at a time. Ends when it is
/// dropped.
pub struct Browser {
    driver: WebDriver,
    session: String,
    // The program ends first, then the profile goes.
    _program: Running,
    _profile: TempDir,
}

impl Browser {
    /// Starts one that reaches what listens at `127.0.0.1:port`, and nothing else; `None` if
    /// Chromium or its driver is not installed.
    #[must_use]
    pub fn start(port: u16) -> Option<Self> {
        let installed = |program: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
        };
        if !installed("chromedriver") || !installed("chromium") {
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut program = Command::new("chromedriver");
        program.arg("--port=0").env("HOME", profile.path()).env("TMPDIR", profile.path());
        let mut network = QuietNetwork::start();
        network.lead_to(port);
        let program = network.inside(move || command::start(&mut program));
        let port = wait_for("chromedriver listens", LIMIT, || port_in(&program.so_far()));
        let driver = WebDriver { address: (Ipv4Addr::LOCALHOST, port).into(), network };
        let folder = profile.path().join("chromium").display().to_string();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={folder}"),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
        }}});
        let made = driver.ask("POST", "/session", &wanted);
        let session = made["sessionId"].as_str().unwrap().to_owned();
        Some(Self { driver, session, _program: program, _profile: profile })
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.driver.ask(method, &format!("/session/{}{path}", self.session), body)
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({"url": url}));
    }

    /// Runs a script in the page; returns what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Sends a command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.ask("POST", "/goog/cdp/execute", &body)
    }

    /// Gives the browser a device that makes and keeps passkeys, and says that its user is there
    /// and is who they should be.
    pub fn add_authenticator(&self) {
        self.devtools("WebAuthn.enable", &json!({}));
        let options = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserVerified": true,
            "automaticPresenceSimulation": true,
        });
        self.devtools("WebAuthn.addVirtualAuthenticator", &json!({"options": options}));
    }

    /// Makes the page as wide and high as a phone's.
    pub fn be_a_phone(&self) {
        let screen = json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true});
        self.devtools("Emulation.setDeviceMetricsOverride", &screen);
    }

    fn element(&self, selector: &str) -> String {
        let body = json!({"using": "css selector", "value": selector});
        let found = self.ask("POST", "/element", &body);
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("no {selector}: {found}")).to_owned()
    }

    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.ask("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Types into a field.
    pub fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.ask("POST", &format!("/element/{element}/value"), &json!({"text": text}));
    }

    /// Returns what the page shows as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.run("return document.body ? document.body.innerText : ''")
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until the page shows a text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        let mut shown = String::new();
        let started = std::time::Instant::now();
        while started.elapsed() < LIMIT {
            shown = self.text();
            if shown.contains(text) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the page does not show {text:?} but {shown:?}");
    }

    /// Returns a picture of the page: PNG in base64.
    #[must_use]
    pub fn picture(&self) -> String {
        self.ask("GET", "/screenshot", &Value::Null).as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser with its session.
        let path = format!("/session/{}", self.session);
        if let Ok(mut connection) = self.driver.connect() {
            let _ = connection.request("DELETE", &path, b"");
        }
    }
}

/// Where chromedriver listens.
struct WebDriver {
    address: SocketAddr,
    network: QuietNetwork,
}

impl WebDriver {
    fn connect(&self) -> io::Result<Connection> {
        let address = self.address;
        self.network.inside(move || Connection::open(address, "localhost"))
    }

    /// Returns the value in the driver's answer, which must not be an error.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut connection = self.connect().unwrap();
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("content-type", "application/json"), ("connection", "close")];
        connection.send(method, path, &headers, text.as_bytes()).unwrap();
        let response = connection.receive().unwrap();
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        assert_eq!(response.status, 200, "{method} {path}: {answer}");
        answer["value"].clone()
    }
}

fn port_in(said: &str) -> Option<u16> {
    let (_, rest) = said.split_once("started successfully on port ")?;
    let (port, _) = rest.split_once('.')?;
    port.trim().parse().ok()
}
