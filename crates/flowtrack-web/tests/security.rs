//! Who gets in, and what no request can do.

mod common;

use common::{TOKEN, site, site_with};
use flowtrack_web::WebConfig;

#[test]
fn a_name_that_is_not_ours_is_refused() {
    let site = site();
    let bearer = format!("Bearer {TOKEN}");
    let port = site.addr().port();
    let evil = ["evil.example", "127.0.0.1.evil.example", "[::2]", "0.0.0.0", "127.0.0.1@evil", ""];
    for host in evil {
        for path in ["/", "/api/v1/status", "/login?token=x"] {
            let host = format!("{host}:{port}");
            let headers = [("Host", host.as_str()), ("Authorization", bearer.as_str())];
            let answer = site.ask_raw(&format!("GET {path}"), &headers, "");
            assert!(matches!(answer.status, 400 | 403), "{host} {path}: {}", answer.status);
        }
    }
    let twice = [("Host", "localhost"), ("Host", "evil.example"), ("Authorization", &bearer)];
    assert!(matches!(site.ask_raw("GET /api/v1/status", &twice, "").status, 400 | 403));
    let none = site.ask_raw("GET /api/v1/status", &[("Authorization", &bearer)], "");
    assert!(matches!(none.status, 400 | 403));

    let ours = [("Host", "localhost:9999"), ("Authorization", bearer.as_str())];
    assert_eq!(site.ask_raw("GET /api/v1/status", &ours, "").status, 200, "a tunnel's port");
}

#[test]
fn another_site_cannot_make_a_browser_act_or_read() {
    let site = site();
    let cookie = site.sign_in();
    let stop = r#"{"action":"stop"}"#;
    let put = |headers: &[(&str, &str)]| {
        let mut all = vec![("Cookie", cookie.as_str())];
        all.extend(headers);
        site.ask("PUT /api/v1/capture", &all, stop).status
    };
    assert_eq!(put(&[("Origin", &site.origin())]), 200);
    assert_eq!(put(&[]), 403, "a browser always says its origin");
    assert_eq!(put(&[("Origin", "null")]), 403);
    assert_eq!(put(&[("Origin", "http://evil.example")]), 403);
    assert_eq!(put(&[("Origin", "http://127.0.0.1:1")]), 403, "another port is another site");

    let live = |headers: &[(&str, &str)]| {
        let mut all = vec![("Cookie", cookie.as_str())];
        all.extend(headers);
        site.ask("GET /api/v1/live", &all, "").status
    };
    assert_eq!(live(&[("Origin", "http://evil.example")]), 403);
    assert_eq!(live(&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors")]), 403);
    assert_eq!(live(&[("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "no-cors")]), 403);
}

#[test]
fn everything_of_the_api_needs_a_session_or_the_token() {
    let site = site();
    let description = serde_json::to_value(flowtrack_web::openapi()).unwrap();
    let mut asked = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        if path == "/api/v1/login" {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            let head = format!("{} {}", method.to_uppercase(), path.replace("{id}", "0-1"));
            let origin = site.origin();
            assert_eq!(site.ask(&head, &[("Origin", &origin)], "").status, 401, "{head}");
            let wrong = [("Authorization", "Bearer token-for-programs-0123456780")];
            assert_eq!(site.ask(&head, &wrong, "").status, 401, "{head}");
            asked += 1;
        }
    }
    assert!(asked >= 20, "only {asked}");
    for path in ["/api/v1/openapi.json", "/api/v1/nothing", "/api/", "/api/v2/status"] {
        assert_eq!(site.ask(&format!("GET {path}"), &[], "").status, 401, "{path}");
    }
    assert_eq!(site.get("/api/v1/nothing").status, 404);
}

#[test]
fn a_link_signs_in_once() {
    let site = site();
    let url = site.server.login_url().unwrap();
    let path = url.strip_prefix(&site.origin()).unwrap();
    assert_eq!(path.len(), "/login?token=".len() + 32);

    assert_eq!(site.ask(&format!("HEAD {path}"), &[], "").status, 405, "a link checker");
    let first = site.ask(&format!("GET {path}"), &[], "");
    assert_eq!((first.status, first.header("location")), (303, Some("/")));
    let cookie = first.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(site.ask("GET /api/v1/status", &[("Cookie", cookie)], "").status, 200);

    let again = site.ask(&format!("GET {path}"), &[], "");
    assert_eq!((again.status, again.header("location")), (303, Some("/?link=used")));
    assert_eq!(again.header("set-cookie"), None);

    let origin = site.origin();
    let with = [("Cookie", cookie), ("Origin", origin.as_str())];
    let link =
        site.ask("POST /api/v1/links", &with, "").json()["path"].as_str().unwrap().to_owned();
    assert_eq!(site.ask(&format!("GET {link}"), &[], "").header("location"), Some("/"));

    assert_eq!(site.ask("POST /api/v1/logout", &with, "").status, 204);
    assert_eq!(site.ask("GET /api/v1/status", &[("Cookie", cookie)], "").status, 401);
}

#[test]
fn a_token_can_be_pasted_once() {
    let site = site();
    let url = site.server.login_url().unwrap();
    let body = format!(r#"{{"token":"{}"}}"#, url.rsplit_once('=').unwrap().1);
    let origin = site.origin();
    let login = |body: &str| site.ask("POST /api/v1/login", &[("Origin", &origin)], body);
    assert_eq!(login(&body).status, 204);
    assert_eq!(login(&body).status, 401);
    assert_eq!(login(&format!(r#"{{"token":"{TOKEN}"}}"#)).status, 204);
    assert_eq!(login("{").status, 400);
    let foreign = site.ask("POST /api/v1/login", &[("Origin", "http://evil.example")], &body);
    assert_eq!(foreign.status, 403);
}

#[test]
fn every_answer_carries_the_policies() {
    let site = site();
    let answers = [
        site.ask("GET /", &[], ""),
        site.ask("GET /nothing.js", &[], ""),
        site.ask("GET /api/v1/status", &[], ""),
        site.get("/api/v1/status"),
        site.get("/api/v1/export/flows.csv"),
        site.ask_raw("GET /", &[("Host", "evil.example")], ""),
        site.ask("PUT /api/v1/capture", &[("Origin", "http://evil.example")], "{}"),
    ];
    for answer in answers {
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"));
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn no_address_leads_out_of_the_application() {
    let site = site();
    let forms = [
        "/../Cargo.toml",
        "/../../../../etc/passwd",
        "/assets/../../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/..%2fCargo.toml",
        "/%2e%2e%2f%2e%2e%2fetc/passwd",
        "/..\\Cargo.toml",
        "/..%5cCargo.toml",
        "/....//....//etc/passwd",
        "//etc/passwd",
        "/etc/passwd",
        "/assets/%00",
        "/index.html%00.js",
        "/%252e%252e/Cargo.toml",
        "/api/v1/flows/..%2f..%2fetc%2fpasswd",
        "/src/main.ts",
        "/.git/config",
    ];
    for form in forms {
        let answer = site.get(form);
        assert!(matches!(answer.status, 400 | 404), "{form}: {}", answer.status);
        assert!(!answer.text().contains("root:") && !answer.text().contains("[package]"), "{form}");
    }
}

#[test]
fn a_client_that_asks_too_fast_is_told_so() {
    let site = site_with(WebConfig { requests_per_second: 1, ..WebConfig::default() });
    let statuses: Vec<u16> = (0..20).map(|_| site.get("/api/v1/version").status).collect();
    assert_eq!(statuses[0], 200);
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[test]
fn bodies_and_heads_are_limited() {
    let site = site();
    let long = format!(r#"{{"action":"stop","x":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(site.put("/api/v1/capture", &long).status, 413);
    let path = format!("/api/v1/filter/check?filter={}", "a".repeat(100_000));
    assert!(matches!(site.get(&path).status, 414 | 431));
}
