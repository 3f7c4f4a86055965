//! What is pushed to open dashboards.

mod common;

use std::time::{Duration, Instant};

use common::{Live, flow, scan, site, site_with, snapshot};
use flowtrack_web::{CaptureState, WebConfig};

#[test]
fn changes_are_pushed() {
    let site = site();
    let mut live = Live::open(&site, "?flows=2&sort=bytes&order=desc");
    let state = live.next();
    assert_eq!((state.name.as_str(), state.id.as_str()), ("state", "1"));
    assert_eq!(state.data["seconds"][0]["bytes"], 5);
    let flows = live.next();
    assert_eq!(flows.name, "flows");
    assert_eq!(flows.data["order"], serde_json::json!(["0-2", "0-3"]));
    assert_eq!(
        (&flows.data["matched"], flows.data["rows"].as_array().unwrap().len()),
        (&3.into(), 2)
    );

    site.fake.publish(snapshot(2, vec![flow(1, 10), flow(2, 30), flow(3, 99)]));
    let tick = live.next();
    assert_eq!((tick.name.as_str(), tick.id.as_str()), ("tick", "2"));
    let flows = live.next();
    assert_eq!(flows.data["order"], serde_json::json!(["0-3", "0-2"]));
    assert_eq!(flows.data["rows"].as_array().unwrap().len(), 1, "only the one that changed");

    // Stopping is told although there is no new snapshot.
    site.fake.capture.lock().unwrap().state = CaptureState::Failed;
    assert_eq!(live.next().data["capture"]["state"], "failed");
}

#[test]
fn alerts_are_pushed() {
    let site = site();
    let mut live = Live::open(&site, "");
    let first = live.next_alerts();
    assert_eq!(
        (&first.data["rows"], &first.data["unseen"]["high"]),
        (&serde_json::json!([]), &0.into())
    );
    let id = site.fake.desk.detect(&scan());
    let told = live.next_alerts();
    assert_eq!(
        (&told.data["rows"][0]["id"], &told.data["unseen"]["high"]),
        (&id.into(), &1.into())
    );
    assert_eq!(told.data["rows"].as_array().unwrap().len(), 1);
    // Who comes later asks for what there is.
    let mut late = Live::open(&site, "");
    let first = late.next_alerts();
    assert_eq!(
        (&first.data["rows"], &first.data["unseen"]["high"]),
        (&serde_json::json!([]), &1.into())
    );
}

#[test]
fn a_filter_selects_what_is_pushed() {
    let site = site();
    let mut live = Live::open(&site, "?flows=9&filter=bytes%20%3C%2015");
    live.next();
    assert_eq!(live.next().data["order"], serde_json::json!(["0-1"]));
    assert_eq!(site.get("/api/v1/live?flows=9&filter=bites%20%3E%201").status, 422);
}

#[test]
fn time_that_goes_back_begins_anew() {
    let site = site();
    site.fake.publish(snapshot(9, vec![]));
    let mut live = Live::open(&site, "");
    while live.next().data["revision"] != 9 {}
    site.fake.publish(snapshot(2, vec![]));
    assert_eq!(live.next().name, "state");
}

#[test]
fn a_client_that_does_not_read_delays_nobody() {
    let site = site();
    let _stalled = Live::open(&site, "?flows=1000");
    let mut live = Live::open(&site, "?flows=1");
    let many = |bytes| (0..1_000).map(|id| flow(id, bytes)).collect();
    for revision in 2..12 {
        site.fake.publish(snapshot(revision, many(revision)));
        while live.next().data["revision"] != revision {}
    }
}

#[test]
fn there_are_only_so_many_dashboards() {
    let site = site_with(WebConfig { max_live_clients: 2, ..WebConfig::default() });
    let first = Live::open(&site, "");
    let _second = Live::open(&site, "");
    let third = site.get("/api/v1/live");
    assert_eq!(third.status, 503);
    assert!(third.text().contains("too many dashboards"));
    assert_eq!(site.get("/api/v1/status").json()["live_clients"], 2);

    drop(first);
    let given_up = Instant::now() + Duration::from_mins(1);
    while site.get("/api/v1/status").json()["live_clients"] != 1 {
        assert!(Instant::now() < given_up, "the place is not given back");
        std::thread::sleep(Duration::from_millis(100));
    }
    Live::open(&site, "");
}

#[test]
fn stopping_the_server_ends_the_streams_at_once() {
    let stop = || {
        let site = site();
        let mut live = Live::open(&site, "");
        live.next();
        let begun = Instant::now();
        site.server.shutdown();
        assert!(live.ends());
        begun.elapsed()
    };
    // After two seconds they are cut off. A machine that is busy may take as long, but not each time.
    let took: Vec<_> = (0..5).map(|_| stop()).take_while(|took| took.as_secs() >= 2).collect();
    assert!(took.len() < 5, "{took:?}");
}
