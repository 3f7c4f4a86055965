//! Web services: the exact requests that their documentation asks for, and what answers mean.

mod common;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::{HttpServer, Secrets, config, message, notice, send, wait_for};
use flowtrack_notify::{Again, Message, Notifier, Reason, test_channel};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use std::net::TcpListener;
use std::time::Duration;

const SID: &str = "AC0123456789abcdef0123456789abcdef";

#[test]
fn twilio_gets_a_form_with_the_accounts_login() {
    let answer = "201 CREATED\r\ncontent-type: application/json\r\n\r\n{\"status\":\"queued\"}";
    let server = HttpServer::start(&[answer]);
    let settings = format!(
        "type = \"sms\"\naccount_sid = \"{SID}\"\nauth_token = \"env:T\"\nfrom = \"+15005550006\"\n\
         to = \"+4915112345678\"\napi = \"{}\"",
        server.url
    );
    let secrets = Secrets::new(&[("T", "s3cr3t-token")]);
    assert_eq!(send(&settings, &secrets, &message()), Ok(()));
    let request = server.one();
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, format!("/2010-04-01/Accounts/{SID}/Messages.json"));
    assert_eq!(request.header("content-type"), "application/x-www-form-urlencoded");
    let login = BASE64_STANDARD.encode(format!("{SID}:s3cr3t-token"));
    assert_eq!(request.header("authorization"), format!("Basic {login}"));
    assert_eq!(
        request.body,
        "To=%2B4915112345678&From=%2B15005550006&Body=%5Bhigh%5D+192.0.2.7+scans+ports+of+\
         10.0.0.5+%3Cscript%3E+--+gate"
    );
}

#[test]
fn twilios_keys_and_services_take_the_places_of_account_and_sender() {
    let server = HttpServer::start(&["201 CREATED"]);
    let (key, service) = (SID.replacen("AC", "SK", 1), SID.replacen("AC", "MG", 1));
    let settings = format!(
        "type = \"sms\"\naccount_sid = \"{SID}\"\napi_key_sid = \"{key}\"\nauth_token = \"env:T\"\n\
         messaging_service_sid = \"{service}\"\nto = \"+4915112345678\"\napi = \"{}\"",
        server.url
    );
    let secrets = Secrets::new(&[("T", "key-secret")]);
    assert_eq!(send(&settings, &secrets, &message()), Ok(()));
    let request = server.one();
    let login = BASE64_STANDARD.encode(format!("{key}:key-secret"));
    assert_eq!(request.header("authorization"), format!("Basic {login}"));
    assert!(request.body.contains(&format!("&MessagingServiceSid={service}&Body=")));
    assert!(!request.body.contains("From="));
}

#[test]
fn slack_gets_blocks_and_a_text() {
    let server = HttpServer::start(&["200 OK\r\n\r\nok", "404 Not Found\r\n\r\nno_service"]);
    let url = format!("{}/services/T0000/B0000/XXXXXXXX", server.url);
    let secrets = Secrets::new(&[("URL", &url)]);
    let settings = "type = \"slack\"\nurl = \"env:URL\"";
    assert_eq!(send(settings, &secrets, &message()), Ok(()));
    let request = server.one();
    assert_eq!((&*request.method, &*request.path), ("POST", "/services/T0000/B0000/XXXXXXXX"));
    assert_eq!(request.header("content-type"), "application/json");
    let body = request.json();
    assert_eq!(body["text"], "[high] 192.0.2.7 scans ports of 10.0.0.5 &lt;script&gt;");
    assert_eq!(body["blocks"][0]["type"], "header");
    assert_eq!(
        body["blocks"][1]["text"],
        json!({
            "type": "mrkdwn", "text": "It looks for services.", "verbatim": true,
        })
    );
    assert_eq!(body["unfurl_links"], false);
    // A webhook that was taken away is not asked again and again.
    let error = send(settings, &secrets, &message()).unwrap_err();
    assert_eq!(error.again, Again::Never);
    assert!(error.text.contains("404") && error.text.contains("no_service"), "{error}");
}

#[test]
fn discord_gets_an_embed_that_mentions_nobody() {
    let limited = "429 Too Many Requests\r\ncontent-type: application/json\r\n\r\n\
                   {\"message\": \"You are being rate limited.\", \"retry_after\": 64.5, \"global\": false}";
    let server = HttpServer::start(&["204 No Content", limited]);
    let url = format!("{}/api/webhooks/123/tokentoken", server.url);
    let secrets = Secrets::new(&[("URL", &url)]);
    let settings = "type = \"discord\"\nurl = \"env:URL\"";
    assert_eq!(send(settings, &secrets, &message()), Ok(()));
    let request = server.one();
    assert_eq!((&*request.method, &*request.path), ("POST", "/api/webhooks/123/tokentoken"));
    let body = request.json();
    assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
    assert_eq!(body["embeds"][0]["color"], 0xd3_2f_2f);
    assert_eq!(
        body["embeds"][0]["fields"][0],
        json!({
            "name": "who", "value": "192.0.2.7 → 10.0.0.5 port 22", "inline": true,
        })
    );
    let error = send(settings, &secrets, &message()).unwrap_err();
    assert_eq!(error.again, Again::Later(Some(Duration::from_millis(64_500))));
}

#[test]
fn teams_gets_an_adaptive_card() {
    let server = HttpServer::start(&["202 Accepted"]);
    let url = format!(
        "{}/workflows/abc/triggers/manual/paths/invoke?api-version=1&sig=xyzxyz",
        server.url
    );
    let secrets = Secrets::new(&[("URL", &url)]);
    assert_eq!(send("type = \"teams\"\nurl = \"env:URL\"", &secrets, &message()), Ok(()));
    let request = server.one();
    assert!(request.path.ends_with("?api-version=1&sig=xyzxyz"), "{}", request.path);
    let body = request.json();
    assert_eq!(body["type"], "message");
    let card = &body["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(card["content"]["type"], "AdaptiveCard");
    assert_eq!(card["content"]["version"], "1.4");
    assert_eq!(card["content"]["body"][0]["type"], "RichTextBlock");
}

#[test]
fn telegram_gets_html_and_never_says_the_token() {
    let refused = "403 Forbidden\r\n\r\n{\"ok\":false,\"error_code\":403,\"description\":\
                   \"Forbidden: bot was blocked by the user 123:SECRETtoken\"}";
    let slow = "429 Too Many Requests\r\n\r\n{\"ok\":false,\"parameters\":{\"retry_after\":9}}";
    let server = HttpServer::start(&["200 OK\r\n\r\n{\"ok\":true}", refused, slow]);
    let settings = format!(
        "type = \"telegram\"\ntoken = \"env:T\"\nchat_id = \"-1001\"\napi = \"{}\"",
        server.url
    );
    let secrets = Secrets::new(&[("T", "123:SECRETtoken")]);
    assert_eq!(send(&settings, &secrets, &message()), Ok(()));
    let request = server.one();
    assert_eq!((&*request.method, &*request.path), ("POST", "/bot123:SECRETtoken/sendMessage"));
    let body = request.json();
    assert_eq!(body["chat_id"], "-1001");
    assert_eq!(body["parse_mode"], "HTML");
    assert_eq!(body["link_preview_options"], json!({ "is_disabled": true }));
    assert!(body["text"].as_str().unwrap().contains("&lt;script&gt;"));
    let error = send(&settings, &secrets, &message()).unwrap_err();
    assert_eq!(error.again, Again::Never);
    assert!(error.text.contains("blocked by the user (secret)"), "{error}");
    let error = send(&settings, &secrets, &message()).unwrap_err();
    assert_eq!(error.again, Again::Later(Some(Duration::from_secs(9))));
}

#[test]
fn webhooks_are_signed_over_identifier_time_and_body() {
    let server = HttpServer::start(&["200 OK"]);
    let settings = format!(
        "type = \"webhook\"\nurl = \"{}/hook?x=1\"\nsigning_key = \"env:KEY\"\nauthorization = \"env:AUTH\"",
        server.url
    );
    let key = b"0123456789abcdef0123456789abcdef";
    let secrets = Secrets::new(&[
        ("KEY", &format!("whsec_{}", BASE64_STANDARD.encode(key))),
        ("AUTH", "Bearer abcdef"),
    ]);
    let mut many = message();
    many.reason = Reason::Digest;
    many.more = 37;
    assert_eq!(send(&settings, &secrets, &many), Ok(()));
    let request = server.one();
    assert_eq!((&*request.method, &*request.path), ("POST", "/hook?x=1"));
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("authorization"), "Bearer abcdef");
    let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    let now = jiff::Timestamp::now().as_second();
    assert!(id == "5f-1-1" && (now - at.parse::<i64>().unwrap()).abs() < 60);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{id}.{at}.{}", request.body).as_bytes());
    let signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(request.header("webhook-signature"), signature);
    let body = request.json();
    assert_eq!((&body["type"], &body["more"]), (&json!("digest"), &json!(37)));
    assert_eq!(body["alerts"][0]["severity"], "high");
    assert_eq!(body["alerts"][0]["source"], "192.0.2.7");
}

#[test]
fn a_signed_message_follows_no_redirection() {
    let other = HttpServer::start(&["200 OK"]);
    let moved = format!("302 Found\r\nlocation: {}/x", other.url);
    let server = HttpServer::start(&[&moved]);
    let settings = format!("type = \"webhook\"\nurl = \"{}\"", server.url);
    let error = send(&settings, &Secrets::new(&[]), &message()).unwrap_err();
    assert_eq!(error.again, Again::Never);
    assert!(error.text.contains("moved"), "{error}");
    assert!(other.requests().is_empty());
}

#[test]
fn errors_of_servers_and_of_the_network_are_tried_again() {
    for (answer, again) in [
        ("503 Service Unavailable\r\nretry-after: 120", Again::Later(Some(Duration::from_mins(2)))),
        ("500 Internal Server Error", Again::Later(None)),
        ("408 Request Timeout", Again::Later(None)),
        ("400 Bad Request", Again::Never),
        ("401 Unauthorized", Again::Never),
    ] {
        let server = HttpServer::start(&[answer]);
        let settings = format!("type = \"webhook\"\nurl = \"{}\"", server.url);
        let error = send(&settings, &Secrets::new(&[]), &message()).unwrap_err();
        assert_eq!(error.again, again, "{answer}: {error}");
    }
    let settings =
        format!("type = \"webhook\"\nurl = \"http://127.0.0.1:{}\"", flowtrack_lab::free_port());
    let error = send(&settings, &Secrets::new(&[]), &message()).unwrap_err();
    assert_eq!(error.again, Again::Later(None));
}

#[test]
fn a_test_says_what_is_missing() {
    let config = config("type = \"slack\"\nurl = \"env:FT_NOT_SET\"");
    let error = test_channel(&config, &Secrets::new(&[]).keeper(), "c").unwrap_err().to_string();
    assert!(error.starts_with("FT_NOT_SET is not set; set it in the environment or "), "{error}");
    let error = test_channel(&config, &Secrets::new(&[]).keeper(), "d").unwrap_err().to_string();
    assert_eq!(error, "there is no channel `d`; did you mean `c`?");
    let server = HttpServer::start(&["200 OK"]);
    let config = common::config(&format!("type = \"webhook\"\nurl = \"{}\"", server.url));
    test_channel(&config, &Secrets::new(&[]).keeper(), "c").unwrap();
    assert_eq!(server.one().json()["type"], "test");
}

#[test]
fn what_a_dead_server_did_not_take_is_delivered_once_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let port = flowtrack_lab::free_port();
    let mut config = config(&format!("type = \"webhook\"\nurl = \"http://127.0.0.1:{port}/\""));
    config.sensor = "gate".into();
    let keeper = Secrets::new(&[]).keeper();
    let start = || Notifier::start(&config, keeper.clone(), Some(folder.path())).unwrap();
    let notifier = start();
    notifier.tell(notice());
    wait_for("failed attempt", || {
        let health = notifier.health();
        (health[0].counts.attempts_failed > 0 && health[0].counts.waiting == 1).then_some(())
    });
    assert!(notifier.health()[0].problem.is_some() && notifier.health()[0].retry_at.is_some());
    // As by kill -9: nothing is closed or written any more.
    std::mem::forget(notifier);
    let server = HttpServer::on(TcpListener::bind(("127.0.0.1", port)).unwrap(), &["200 OK"]);
    let notifier = start();
    wait_for("delivery", || (notifier.health()[0].counts.delivered == 1).then_some(()));
    drop(notifier);
    drop(start());
    let body = server.one().json();
    assert_eq!(body["alerts"][0]["title"], notice().title);
}

#[test]
fn many_notices_make_few_messages_and_none_is_lost_from_the_count() {
    let server = HttpServer::start(&["200 OK"]);
    let text = format!("burst = 2\ntype = \"webhook\"\nurl = \"{}\"", server.url);
    let notifier = Notifier::start(&config(&text), Secrets::new(&[]).keeper(), None).unwrap();
    for n in 0..500 {
        notifier.tell(flowtrack_notify::Notice { key: format!("n{n}"), ..notice() });
    }
    wait_for("delivery", || {
        let counts = notifier.health()[0].counts;
        (counts.delivered + counts.waiting + counts.dropped == 500 && counts.delivered > 0)
            .then_some(())
    });
    drop(notifier);
    let told: u64 = server
        .requests()
        .iter()
        .map(|request| {
            let body = request.json();
            body["alerts"].as_array().unwrap().len() as u64 + body["more"].as_u64().unwrap()
        })
        .sum();
    assert!((1..=2).contains(&server.requests().len()) && told >= 1, "{told}");
}

#[test]
fn a_message_of_the_longest_texts_fits_every_service() {
    let long = |c: &str, n: usize| c.repeat(n);
    let mut notice = notice();
    notice.title = long("*", 200);
    notice.explanation = long("<", 600);
    notice.evidence = (0..12).map(|_| (long("_", 60), long("&", 200))).collect();
    let message = Message { notices: vec![notice], ..message() };
    let server = HttpServer::start(&["200 OK"]);
    let secrets = Secrets::new(&[("URL", &server.url), ("T", "1:a")]);
    for kind in ["slack", "discord", "teams"] {
        send(&format!("type = \"{kind}\"\nurl = \"env:URL\""), &secrets, &message).unwrap();
    }
    let telegram = format!(
        "type = \"telegram\"\ntoken = \"env:T\"\nchat_id = \"1\"\napi = \"{}\"",
        server.url
    );
    send(&telegram, &secrets, &message).unwrap();
    let [slack, discord, teams, telegram] = &server.requests()[..] else { panic!() };
    for block in slack.json()["blocks"].as_array().unwrap() {
        let fields = block["fields"].as_array().cloned().unwrap_or_default();
        assert!(fields.len() <= 10);
        assert!(fields.iter().all(|f| f["text"].as_str().unwrap().chars().count() <= 2000));
        assert!(block["text"]["text"].as_str().unwrap_or_default().chars().count() <= 3000);
    }
    let embed = &discord.json()["embeds"][0];
    let fields = embed["fields"].as_array().unwrap();
    let length = |value: &serde_json::Value| value.as_str().unwrap().chars().count();
    let total: usize = fields.iter().map(|f| length(&f["name"]) + length(&f["value"])).sum();
    let rest = length(&embed["title"]) + length(&embed["description"]);
    assert!(total + rest + length(&embed["footer"]["text"]) <= 6000 && fields.len() <= 25);
    assert!(teams.body.len() <= 28 * 1024);
    let text = telegram.json()["text"].as_str().unwrap().to_owned();
    let shown =
        text.replace("&amp;", "&").replace("&lt;", "<").replace("<b>", "").replace("</b>", "");
    assert!(shown.chars().count() <= 4096, "{}", shown.chars().count());
}
