//! What the API answers.

mod common;

use std::io::Read as _;
use std::sync::atomic::Ordering;

use common::{TOKEN, flow, scan, site, snapshot};
use flowtrack_web::{CaptureState, FlowSort, Order};

#[test]
fn a_capture_is_started_and_stopped() {
    let site = site();
    let start = r#"{"action":"start","interfaces":["eth0"],"filter":"tcp","promiscuous":true}"#;
    let answer = site.put("/api/v1/capture", start);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["state"], "running");
    let capture = site.fake.capture.lock().unwrap().clone();
    assert_eq!(capture.interfaces, ["eth0"]);
    assert_eq!((capture.filter.as_str(), capture.promiscuous), ("tcp", true));

    assert_eq!(site.put("/api/v1/capture", r#"{"action":"stop"}"#).json()["state"], "stopped");
    assert_eq!(site.fake.capture.lock().unwrap().state, CaptureState::Stopped);
}

#[test]
fn a_wrong_capture_is_refused_with_its_place() {
    let site = site();
    let start =
        |rest: &str| site.put("/api/v1/capture", &format!(r#"{{"action":"start",{rest}}}"#));
    let answer = start(r#""interfaces":["eth0"],"filter":"tcp and wrong""#);
    assert_eq!(answer.status, 422);
    let problem = answer.json();
    assert_eq!((&problem["field"], &problem["column"]), (&"filter".into(), &9.into()));

    assert_eq!(start(r#""interfaces":[]"#).json()["field"], "interfaces");
    let forbidden = start(r#""interfaces":["forbidden0"]"#);
    assert_eq!(forbidden.status, 409);
    assert!(forbidden.text().contains("sudo"));
    assert_eq!(start(r#""interfaces":["eth0"],"fliter":"tcp""#).status, 422, "a typing error");
    assert_eq!(site.put("/api/v1/capture", "{}").status, 422);

    let check = site.get("/api/v1/capture/check?filter=wrong").json();
    assert_eq!((&check["ok"], &check["problem"]["column"]), (&false.into(), &1.into()));
    assert_eq!(site.get("/api/v1/capture/check?filter=tcp").json()["ok"], true);
}

#[test]
fn live_flows_are_filtered_sorted_and_paged() {
    let site = site();
    let ids = |path: &str| -> Vec<String> {
        let page = site.get(path).json();
        let rows = page["rows"].as_array().unwrap();
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("/api/v1/flows?sort=bytes"), ["0-2", "0-3", "0-1"]);
    assert_eq!(ids("/api/v1/flows?sort=bytes&order=asc"), ["0-1", "0-3", "0-2"]);
    assert_eq!(ids("/api/v1/flows?filter=bytes%20%3E%2015&sort=bytes"), ["0-2", "0-3"]);

    let first = site.get("/api/v1/flows?sort=bytes&limit=2").json();
    assert_eq!((&first["total"], &first["next"]), (&3.into(), &"2".into()));
    assert_eq!(ids("/api/v1/flows?sort=bytes&limit=2&cursor=2"), ["0-1"]);
    assert!(ids("/api/v1/flows?cursor=18446744073709551615").is_empty());
    assert_eq!(site.get("/api/v1/flows?cursor=x").status, 422);
    assert_eq!(site.get("/api/v1/flows?sort=colour").status, 422);

    let wrong = site.get("/api/v1/flows?filter=app_proto%20%3D%20tls%20and%20bites%20%3E%201");
    assert_eq!(wrong.status, 422);
    assert_eq!(wrong.json()["column"], 21);
}

#[test]
fn a_flow_is_found_live_or_in_history() {
    let site = site();
    let live = site.get("/api/v1/flows/0-2").json();
    assert_eq!(live["bytes_toserver"], 30);
    assert_eq!(live["src_name"], "<script>alert(1)</script>", "as it came from the wire");
    assert_eq!(site.get("/api/v1/flows/3-9").json()["id"], "3-9");
    assert_eq!(site.get("/api/v1/flows/0-99").status, 404);
    assert_eq!(site.get("/api/v1/flows/x").status, 404);
}

#[test]
fn history_is_asked_what_the_client_asked() {
    let site = site();
    let path = "/api/v1/flows?source=history&filter=alerted&sort=packets&order=asc&limit=5000\
                &cursor=9%3Ai4&since_us=-5&until_us=9";
    let page = site.get(path).json();
    assert_eq!((&page["next"], &page["rows"][0]["id"]), (&"7:i70".into(), &"0-7".into()));
    let query = site.fake.queries.lock().unwrap().remove(0);
    assert_eq!(query.filter.text(), "alerted");
    assert_eq!((query.sort, query.order, query.limit), (FlowSort::Packets, Order::Asc, 1_000));
    assert_eq!(query.cursor.as_deref(), Some("9:i4"));
    assert_eq!((query.since_us, query.until_us), (Some(-5), Some(9)));

    let series = site.get("/api/v1/series?since=0&until=86400").json();
    assert_eq!((&series["step"], &series["points"][0]["bytes"]), (&60.into(), &9.into()));
    assert_eq!(site.fake.series.lock().unwrap()[0].step, 60);
    assert_eq!(site.get("/api/v1/series?since=9&until=9").status, 422);
    let extremes = format!("/api/v1/series?since={}&until={}", i64::MIN, i64::MAX);
    assert_eq!(site.get(&extremes).status, 422);
}

#[test]
fn what_is_seen_now_is_told() {
    let site = site();
    let status = site.get("/api/v1/status").json();
    assert_eq!((&status["health"], &status["revision"]), (&"degraded".into(), &1.into()));
    let now = site.get("/api/v1/snapshot?flows=1").json();
    assert_eq!(now["flows"].as_array().unwrap().len(), 1);
    assert_eq!(site.get("/api/v1/hosts?search=192.0").json().as_array().unwrap().len(), 1);
    assert_eq!(site.get("/api/v1/hosts?search=nobody").json().as_array().unwrap().len(), 0);
    assert_eq!(site.get("/api/v1/interfaces").json()[0]["name"], "eth0");
    assert_eq!(site.get("/api/v1/health").json()["parts"][0]["message"], "the disk is full");
    site.fake.publish(snapshot(2, vec![flow(1, 1)]));
    assert_eq!(site.get("/api/v1/status").json()["revision"], 2);
}

#[test]
fn rules_are_told_and_loaded_again() {
    let site = site();
    let rules = site.get("/api/v1/rules").json();
    assert_eq!((&rules["loaded"], &rules["wrong"]), (&29.into(), &1.into()));
    assert!(rules["problem"].is_null());
    let again = site.post("/api/v1/rules/reload", "").json();
    assert_eq!(
        (&again["loaded"], &again["problem"]),
        (&29.into(), &"rules/a.rules is gone".into())
    );
}

#[test]
fn filters_are_checked_and_completed() {
    let site = site();
    assert_eq!(site.get("/api/v1/filter/check?filter=bytes%20%3E%201M").json()["ok"], true);
    let wrong = site.get("/api/v1/filter/check?filter=src_prot%20%3D%201").json();
    assert_eq!(wrong["problem"]["column"], 1);
    assert!(wrong["problem"]["message"].as_str().unwrap().contains("src_port"));
    let found = site.get("/api/v1/filter/complete?text=alerted%20and%20app_&cursor=16").json();
    assert_eq!(found["start"], 12);
    assert_eq!(found["suggestions"][0]["text"], "app_proto");
    let huge = usize::MAX;
    assert_eq!(site.get(&format!("/api/v1/filter/complete?text=a&cursor={huge}")).status, 200);
}

#[test]
fn exports_stream_and_tell_when_they_fail() {
    let site = site();
    let whole = site.get("/api/v1/export/flows.csv?source=history");
    assert_eq!((whole.status, whole.body.len(), whole.complete), (200, 20_000_000, true));
    assert_eq!(whole.header("content-type"), Some("text/csv; charset=utf-8"));
    let disposition = whole.header("content-disposition").unwrap();
    assert_eq!(disposition, "attachment; filename=\"flowtrack-flows.csv\"");

    *site.fake.export_fails_after.lock().unwrap() = Some(0);
    let at_once = site.get("/api/v1/export/flows.json?source=history");
    assert_eq!(at_once.status, 500);
    assert!(at_once.text().contains("the disk went away"));

    *site.fake.export_fails_after.lock().unwrap() = Some(1_000_000);
    let half = site.get("/api/v1/export/flows.json?source=history");
    assert_eq!(half.status, 200);
    assert!(!half.complete, "a part must not look like the whole");

    assert_eq!(site.get("/api/v1/export/packets.pcap").status, 409, "nothing is recorded");
    assert_eq!(site.get("/api/v1/export/flows.csv?filter=%28").status, 422);
}

#[test]
fn live_flows_are_exported_without_history() {
    let site = site();
    let mut evil = flow(9, 90);
    evil.src_name = Some("=cmd|'/c calc'!A0".into());
    site.fake.publish(snapshot(2, vec![flow(1, 10), evil]));
    let csv = site.get("/api/v1/export/flows.csv?filter=bytes%20%3E%2015").text();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 2, "{csv}");
    assert!(lines[0].starts_with("start_us,end_us,src_ip,src_name"));
    assert!(lines[1].contains("'=cmd"), "a spreadsheet must not run it: {}", lines[1]);
    let json = site.get("/api/v1/export/flows.json?source=live").json();
    assert_eq!(json.as_array().unwrap().len(), 2);
}

#[test]
fn an_export_ends_when_its_client_goes() {
    let site = site();
    let host = site.addr().to_string();
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("Host", host.as_str()), ("Authorization", bearer.as_str())];
    let mut client = site.open("GET /api/v1/export/flows.csv?source=history", &headers, "");
    // A client that goes before it is answered is not answered at all.
    client.read_exact(&mut [0]).unwrap();
    drop(client);
    for _ in 0..1_000 {
        if site.fake.export_was_cut.load(Ordering::SeqCst) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the export goes on without a client");
}

#[test]
fn alerts_are_listed_and_worked_on() {
    let site = site();
    let id = site.fake.desk.detect(&scan());
    let page =
        site.get("/api/v1/alerts?filter=severity%3Dmedium%20192.0.2.66&sort=severity").json();
    let alert = &page["rows"][0];
    assert_eq!((&alert["id"], &alert["severity"]), (&id.into(), &"high".into()));
    assert_eq!((&alert["kind"], &alert["state"]), (&"behaviour".into(), &"new".into()));
    assert_eq!(alert["technique"]["id"], "T1046");
    assert_eq!(alert["evidence"][0]["name"], "ports");
    assert_eq!(alert["evidence"][0]["value"], 40.0);
    assert_eq!(alert["evidence"][1]["value"], serde_json::json!(["22", "80"]));
    assert_eq!(alert["flows"], serde_json::json!(["0-7"]));
    assert!(page["next"].is_null());
    assert_eq!(
        site.get("/api/v1/alerts?filter=severity%3Dcritical").json()["rows"],
        serde_json::json!([])
    );
    let wrong = site.get("/api/v1/alerts?filter=a%20severty%3Dhigh");
    assert_eq!((wrong.status, &wrong.json()["column"]), (422, &3.into()));
    assert_eq!(site.get("/api/v1/alerts?cursor=x").status, 422);

    let update = format!(r#"{{"ids":[{id},99],"state":"seen","note":"a test"}}"#);
    assert_eq!(site.put("/api/v1/alerts", &update).json()["found"], 1);
    let alert = site.get(&format!("/api/v1/alerts/{id}")).json();
    assert_eq!((&alert["state"], &alert["note"]), (&"seen".into(), &"a test".into()));
    assert_eq!(site.get("/api/v1/alerts/99").status, 404);
    let muted = site.put("/api/v1/alerts", r#"{"ids":[1],"state":"muted"}"#);
    assert_eq!((muted.status, &muted.json()["field"]), (422, &"state".into()));
}

#[test]
fn mutes_are_previewed_made_and_taken_back() {
    let site = site();
    let id = site.fake.desk.detect(&scan());
    let mute =
        r#"{"rule":"port_scan","source":"192.0.2.*","reason":"our own scanner","seconds":60}"#;
    let preview = site.post("/api/v1/mutes/preview", mute).json();
    assert_eq!((&preview["alerts"]["high"], &preview["examined"]), (&1.into(), &1.into()));
    assert_eq!(preview["examples"][0]["id"], id);
    assert_eq!(site.get("/api/v1/mutes").json(), serde_json::json!([]), "a preview makes nothing");

    let made = site.post("/api/v1/mutes", mute).json();
    assert_eq!((&made["source"], &made["target"]), (&"192.0.2.0/24".into(), &"*".into()));
    assert_eq!(
        made["until_us"].as_i64().unwrap() - made["created_us"].as_i64().unwrap(),
        60_000_000
    );
    assert_eq!(site.get(&format!("/api/v1/alerts/{id}")).json()["state"], "muted");
    assert_eq!(site.get("/api/v1/mutes").json()[0]["reason"], "our own scanner");

    let path = format!("/api/v1/mutes/{}", made["id"]);
    assert_eq!((site.delete(&path).status, site.delete(&path).status), (204, 404));
    assert_eq!(site.get(&format!("/api/v1/alerts/{id}")).json()["state"], "new");

    for (wrong, field) in [
        (r"{}", "rule"),
        (r#"{"rule":"x","seconds":0}"#, "seconds"),
        (r#"{"source":"10.0.0.0/99"}"#, "source"),
        (r#"{"port":"http"}"#, "port"),
    ] {
        let answer = site.post("/api/v1/mutes", wrong);
        assert_eq!((answer.status, &answer.json()["field"]), (422, &field.into()), "{wrong}");
    }
}
