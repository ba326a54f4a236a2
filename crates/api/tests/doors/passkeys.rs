//! Passkeys: adding, using and losing them, with a device in software.

use super::support::{Answer, Server};
use super::tokens::password;
use http::Method;
use serde_json::{Value, json};
use std::fmt::Write;
use windlass_core::webauthn::from_base64url;
use windlass_testkit::authenticator::{Authenticator, Ceremony};

/// Where the server of these tests says that it is, and its host.
const ORIGIN: &str = "http://api.localhost:5000";
const HOST: &str = "api.localhost";
const LIST: &str = "/account/passkeys";

/// A form as browsers send it.
fn form(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        let _ = write!(text, "{}{name}=", if text.is_empty() { "" } else { "&" });
        for byte in value.bytes() {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// A browser at the server's own address, on a page for which it has a cookie.
struct Browser<'a> {
    server: &'a Server,
    cookie: String,
}

impl<'a> Browser<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, cookie: String::new() }
    }

    async fn send(&self, method: Method, path: &str, body: &str) -> Answer {
        let mut headers = vec![("windlass-base-url", ORIGIN), ("sec-fetch-site", "same-origin")];
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        if !self.cookie.is_empty() {
            headers.push(("cookie", &self.cookie));
        }
        self.server.send_as_is(method, path, &headers, body.as_bytes()).await
    }

    /// Opens a page, and keeps its cookie.
    async fn open(&mut self, path: &str) -> Answer {
        let page = self.send(Method::GET, path, "").await;
        if let Some(cookie) = page.headers.get("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
            self.cookie = cookie.split(';').next().unwrap().to_owned();
        }
        page
    }

    /// Asks for a challenge and its options.
    async fn challenge(&self, path: &str) -> Value {
        let options = self.send(Method::POST, &format!("{path}/challenge"), "").await;
        assert_eq!(options.status, 200, "{options:?}");
        options.json()["publicKey"].clone()
    }

    /// Makes a passkey with a new device.
    async fn add(&self, path: &str, name: &str) -> (Authenticator, Answer) {
        let options = self.challenge(path).await;
        let device = Authenticator::new(&bytes(&options["user"]["id"]));
        let made = device.create(&ceremony(&options)).json().to_string();
        let body = form(&[("action", "add"), ("name", name), ("passkey", &made)]);
        (device, self.send(Method::POST, path, &body).await)
    }

    /// Proves with a device on a login's page.
    async fn log_in(&self, path: &str, device: &Authenticator) -> Answer {
        let options = self.challenge(path).await;
        let given = device.get(&ceremony(&options)).json().to_string();
        self.send(Method::POST, path, &form(&[("passkey", &given)])).await
    }
}

fn bytes(text: &Value) -> Vec<u8> {
    from_base64url(text.as_str().unwrap()).unwrap()
}

fn ceremony(options: &Value) -> Ceremony {
    Ceremony::at(ORIGIN, HOST, options["challenge"].as_str().unwrap())
}

impl Server {
    /// Opens the page on which somebody adds passkeys. Returns its path.
    async fn passkey_page(&self, token: &str) -> String {
        let made = self.as_user(token, Method::POST, "/account/passkeys/links", json!({})).await;
        assert_eq!(made.status, 201, "{made:?}");
        let url = made.json()["url"].as_str().unwrap().to_owned();
        url.strip_prefix(ORIGIN).unwrap().to_owned()
    }

    /// Adds a passkey to somebody's account.
    async fn passkey(&self, token: &str, name: &str) -> Authenticator {
        let (page, mut browser) = (self.passkey_page(token).await, Browser::new(self));
        assert_eq!(browser.open(&page).await.status, 200);
        let (device, added) = browser.add(&page, name).await;
        assert_eq!(added.status, 303, "{added:?}");
        device
    }

    async fn passkeys(&self, token: &str) -> Vec<Value> {
        let listed = self.as_user(token, Method::GET, LIST, Value::Null).await;
        listed.json().as_array().unwrap().clone()
    }

    /// Puts a second factor into force. Returns its recovery codes.
    async fn second_factor(&self, token: &str) -> Vec<String> {
        let path = "/account/two-factor";
        let proposed = self.as_user(token, Method::POST, path, json!({})).await.json();
        let code = password(proposed["secret"].as_str().unwrap(), 0);
        let confirm = format!("{path}/actions/confirm");
        let made = self.as_user(token, Method::POST, &confirm, json!({"code": code})).await.json();
        let codes = made["recovery_codes"].as_array().unwrap().iter();
        codes.map(|code| code.as_str().unwrap().to_owned()).collect()
    }

    /// Begins a login by a browser. Returns its page's path, and where its client waits with what.
    async fn login(&self) -> (String, String, String) {
        let headers = [("content-type", "application/json")];
        let made = self.send_as_is(Method::POST, "/auth", &headers, b"{}").await.json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("browser_url"), text("cli_url"), text("token"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_adds_a_passkey_and_logs_in_by_it() {
    let server = Server::start().await;
    let ben = server.let_in("ben@example.com").await;
    let (login, _, _) = server.login().await;
    let page = Browser::new(&server).send(Method::GET, &login, "").await;
    assert!(!page.text().contains("data-passkey"), "nobody has one yet: {page:?}");
    let mut device = server.passkey(&ben, "Laptop <1>").await;
    let listed = server.passkeys(&ben).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["name"], "Laptop <1>");
    assert_eq!(
        (&listed[0]["relying_party"], &listed[0]["last_used_at"]),
        (&json!(HOST), &Value::Null)
    );

    let (login, wait, token) = server.login().await;
    let browser = Browser::new(&server);
    let page = browser.send(Method::GET, &login, "").await.text();
    assert!(page.contains("data-passkey=get") && !page.contains("<script>"), "{page}");
    let elsewhere = server.send_as_is(Method::GET, &login, &[], b"").await.text();
    assert!(elsewhere.contains(&format!("{ORIGIN}{login}")), "it leads there: {elsewhere}");
    let options = browser.challenge(&login).await;
    assert_eq!(
        (&options["rpId"], &options["userVerification"]),
        (&json!(HOST), &json!("required"))
    );
    device.sign_count = 1;
    let done = browser.log_in(&login, &device).await;
    assert!(done.status == 200 && done.text().contains("ben@example.com"), "{done:?}");
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    let outcome = server.send_as_is(Method::GET, &wait, &headers, b"").await.json();
    let secret = outcome["access_token"].as_str().unwrap();
    let account = server.as_user(secret, Method::GET, "/account", Value::Null).await.json();
    assert_eq!(account["email"], "ben@example.com");
    assert!(server.passkeys(&ben).await[0]["last_used_at"].is_string());
    // The page that says so leads to one where more are added.
    let text = done.text();
    let (_, rest) = text.split_once("href=\"/auth/passkeys/").unwrap();
    let path = format!("/auth/passkeys/{}", rest.split('"').next().unwrap());
    let page = Browser::new(&server).open(&path).await;
    assert!(
        page.text().contains("Laptop &lt;1&gt;") && page.text().contains("last used"),
        "{page:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_good_once_and_for_their_login() {
    let server = Server::start().await;
    let mut device = server.passkey(&server.token, "Key").await;
    let browser = Browser::new(&server);
    let (first, _, _) = server.login().await;
    let (second, _, _) = server.login().await;
    let options = browser.challenge(&first).await;
    device.sign_count = 1;
    let given = form(&[("passkey", &device.get(&ceremony(&options)).json().to_string())]);
    let none_asked = browser.send(Method::POST, &second, &given).await;
    assert_eq!(none_asked.status, 422, "{none_asked:?}");
    let _ = browser.challenge(&second).await;
    let of_another = browser.send(Method::POST, &second, &given).await;
    assert_eq!(of_another.status, 403, "{of_another:?}");
    assert!(of_another.text().contains("another question"), "{of_another:?}");
    let done = browser.send(Method::POST, &first, &given).await;
    assert_eq!(done.status, 200, "{done:?}");
    // The same answer again, to the same question and to a new one.
    let (third, _, _) = server.login().await;
    assert_eq!(browser.send(Method::POST, &third, &given).await.status, 422);
    let _ = browser.challenge(&third).await;
    assert_eq!(browser.send(Method::POST, &third, &given).await.status, 403);
    // A device that does not count on: there may be a copy.
    let copied = browser.log_in(&third, &device).await;
    assert!(copied.status == 403 && copied.text().contains("a copy"), "{copied:?}");
    device.sign_count = 2;
    assert_eq!(browser.log_in(&third, &device).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_of_one_person() {
    let server = Server::start().await;
    let ben = server.let_in("ben@example.com").await;
    let of_ada = server.passkey(&server.token, "Ada's").await;
    let mut of_ben = server.passkey(&ben, "Ben's").await;
    let browser = Browser::new(&server);
    let (login, _, _) = server.login().await;
    // Ben's device says that it is Ada's, and that its passkey is hers.
    let own = std::mem::replace(&mut of_ben.user_handle, of_ada.user_handle.clone());
    let refused = browser.log_in(&login, &of_ben).await;
    assert!(refused.status == 403 && refused.text().contains("no account"), "{refused:?}");
    let own_id = std::mem::replace(&mut of_ben.credential_id, of_ada.credential_id.clone());
    let refused = browser.log_in(&login, &of_ben).await;
    assert!(refused.status == 403 && refused.text().contains("signature"), "{refused:?}");
    let stranger = browser.log_in(&login, &Authenticator::new(&own)).await;
    assert_eq!(stranger.status, 403, "{stranger:?}");
    (of_ben.user_handle, of_ben.credential_id) = (own, own_id);
    let done = browser.log_in(&login, &of_ben).await;
    assert!(done.text().contains("ben@example.com"), "{done:?}");
    // Nobody reaches another's through the API either.
    let id = server.passkeys(&server.token).await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("{LIST}/{id}");
    server.as_user(&ben, Method::GET, &path, Value::Null).await.refused(404, "not_found");
    let name = json!({"name": "Mine"});
    server.as_user(&ben, Method::PATCH, &path, name).await.refused(404, "not_found");
    server.as_user(&ben, Method::DELETE, &path, json!({})).await.refused(404, "not_found");
    // Wrong ones are guessed a few times only.
    let (login, _, _) = server.login().await;
    for _ in 0..5 {
        let _ = browser.log_in(&login, &Authenticator::new(b"x")).await;
    }
    assert_eq!(browser.send(Method::GET, &login, "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_good_in_one_browser_and_for_its_own_forms() {
    let server = Server::start().await;
    let page = server.passkey_page(&server.token).await;
    let mut browser = Browser::new(&server);
    // Nothing is done before the page was opened, and looking at the link does not open it.
    let early = browser.send(Method::POST, &page, &form(&[("action", "add")])).await;
    assert_eq!(early.status, 403, "{early:?}");
    assert_eq!(browser.send(Method::HEAD, &page, "").await.status, 200);
    let opened = browser.open(&page).await;
    assert_eq!(opened.status, 200);
    let policy = opened.headers["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(browser.open(&page).await.status, 200, "again");
    let other = Browser::new(&server);
    assert_eq!(other.send(Method::GET, &page, "").await.status, 403);
    let challenge = format!("{page}/challenge");
    assert_eq!(other.send(Method::POST, &challenge, "").await.status, 404);
    let from_elsewhere = [("cookie", browser.cookie.as_str()), ("sec-fetch-site", "cross-site")];
    let forged = server.send_as_is(Method::POST, &page, &from_elsewhere, b"action=add").await;
    assert_eq!(forged.status, 403, "{forged:?}");

    // A challenge is answered once, whatever the answer.
    let options = browser.challenge(&page).await;
    let device = Authenticator::new(&bytes(&options["user"]["id"]));
    let bent = Ceremony { flags: 1, ..ceremony(&options) };
    let add = async |made: Value| {
        let body = form(&[("action", "add"), ("passkey", &made.to_string())]);
        browser.send(Method::POST, &page, &body).await
    };
    let refused = add(device.create(&bent).json()).await;
    assert!(refused.status == 422 && refused.text().contains("PIN"), "{refused:?}");
    let used_up = add(device.create(&ceremony(&options)).json()).await;
    assert_eq!(used_up.status, 422, "{used_up:?}");
    assert!(server.passkeys(&server.token).await.is_empty());
    let (device, added) = browser.add(&page, "").await;
    assert_eq!(added.headers["location"], format!("{page}?done=add"));
    let options = browser.challenge(&page).await;
    assert_eq!(bytes(&options["excludeCredentials"][0]["id"]), device.credential_id);
    let again = add(device.create(&ceremony(&options)).json()).await;
    assert!(again.status == 422 && again.text().contains("taken"), "{again:?}");

    // A new page ends the old one, and so does the end of its token.
    let newer = server.passkey_page(&server.token).await;
    assert_eq!(browser.open(&page).await.status, 404);
    let id = server.get("/oauth/authorizations/~").await.json()["id"].clone();
    let mut browser = Browser::new(&server);
    assert_eq!(browser.open(&newer).await.status, 200);
    let path = format!("/oauth/authorizations/{}", id.as_str().unwrap());
    assert_eq!(server.delete(&path).await.status, 200);
    assert_eq!(browser.open(&newer).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn passkeys_are_renamed_removed_and_written_down() {
    let server = Server::start().await;
    let ben = server.let_in("ben@example.com").await;
    server.passkey(&ben, "Laptop").await;
    let page = server.passkey_page(&ben).await;
    let mut browser = Browser::new(&server);
    browser.open(&page).await;
    let (_, added) = browser.add(&page, "Phone").await;
    assert_eq!(added.status, 303, "{added:?}");
    let ids: Vec<String> = server
        .passkeys(&ben)
        .await
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    let rename = form(&[("action", "rename"), ("id", &ids[0]), ("name", "Work laptop")]);
    assert_eq!(browser.send(Method::POST, &page, &rename).await.status, 303);
    let one = format!("{LIST}/{}", ids[1]);
    let renamed = server.as_user(&ben, Method::PATCH, &one, json!({"name": "Pixel"})).await.json();
    assert_eq!(renamed["name"], "Pixel");
    server
        .as_user(&ben, Method::PATCH, &one, json!({"name": "\n"}))
        .await
        .refused(422, "invalid_params");
    let names: Vec<Value> =
        server.passkeys(&ben).await.iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["Work laptop", "Pixel"]);
    assert_eq!(server.as_user(&ben, Method::DELETE, &one, json!({})).await.status, 200);
    let remove = form(&[("action", "remove"), ("id", &ids[0])]);
    assert_eq!(browser.send(Method::POST, &page, &remove).await.status, 303);
    assert!(server.passkeys(&ben).await.is_empty());

    let started = std::time::Instant::now();
    let written =
        ["passkey add", "passkey rename", "passkey remove", "DELETE /account/passkeys/{passkey}"];
    loop {
        let trail = server.get("/activity").await;
        if written.iter().all(|action| trail.text().contains(action)) {
            break;
        }
        assert!(started.elapsed().as_secs() < 120, "{trail:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_way_in_stays_and_the_owner_takes_lost_ones_away() {
    let server = Server::start().await;
    let ben = server.let_in("ben@example.com").await;
    let device = server.passkey(&ben, "Phone").await;
    let (login, _, _) = server.login().await;
    let done = Browser::new(&server).log_in(&login, &device).await.text();
    assert!(done.contains("ben@example.com"), "{done}");
    let (_, user) = server.platform.authenticate(&ben).unwrap();
    let passkey = server.platform.passkeys(&user).unwrap()[0].id;
    for token in server.platform.authorizations(&user).unwrap() {
        server.platform.revoke_authorization(&user, token.id).unwrap();
    }
    let refused = server.platform.remove_passkey(&user, passkey).unwrap_err().to_string();
    assert!(refused.contains("only way in"), "{refused}");

    let ben_path = "/users/ben@example.com/passkeys";
    let eve = server.let_in("eve@example.com").await;
    server.as_user(&eve, Method::DELETE, ben_path, json!({})).await.refused(403, "forbidden");
    assert_eq!(server.delete(ben_path).await.status, 200);
    let (login, _, _) = server.login().await;
    let refused = Browser::new(&server).log_in(&login, &device).await;
    assert_eq!(refused.status, 403, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_guards_adding_and_removing() {
    let server = Server::start().await;
    let ben = server.let_in("ben@example.com").await;
    server.passkey(&ben, "Phone").await;
    let id = server.passkeys(&ben).await[0]["id"].as_str().unwrap().to_owned();
    let recovery = server.second_factor(&ben).await;
    let links = format!("{LIST}/links");
    server.as_user(&ben, Method::POST, &links, json!({})).await.refused(403, "two_factor");
    let one = format!("{LIST}/{id}");
    server.as_user(&ben, Method::DELETE, &one, json!({})).await.refused(403, "two_factor");
    let authorization = format!("Bearer {ben}");
    for (number, (method, path)) in
        [(Method::POST, links.as_str()), (Method::DELETE, one.as_str())].into_iter().enumerate()
    {
        let code = recovery[number].as_str();
        let headers = [("authorization", authorization.as_str()), ("heroku-two-factor-code", code)];
        let answer = server.send_as_is(method, path, &headers, b"").await;
        assert!(answer.status.is_success(), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_both_factors() {
    let server = Server::start().await;
    let device = server.passkey(&server.token, "Phone").await;
    let _ = server.second_factor(&server.token).await;
    let (login, _, _) = server.login().await;
    let done = Browser::new(&server).log_in(&login, &device).await;
    assert!(done.status == 200 && done.text().contains("ada@example.com"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_browsers_refuse_says_so() {
    let address = |settings: &mut windlass_control::Settings| {
        settings.api_url = "http://192.0.2.1:8081".into();
    };
    let server = Server::start_with(address).await;
    let said =
        server.post("/account/passkeys/links", json!({})).await.refused(422, "invalid_params");
    assert!(said.contains("api.url") && said.contains("https"), "{said}");
    let (login, _, _) = server.login().await;
    let page = server.send_as_is(Method::GET, &login, &[], b"").await;
    assert!(page.status == 200 && !page.text().contains("passkey="), "{page:?}");
}
