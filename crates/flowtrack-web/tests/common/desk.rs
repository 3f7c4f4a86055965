//! Alerts in memory, for tests of the API and for the preview of the dashboard.

use flowtrack_detect::alerts::{
    self, AlertBook, AlertRecord, AlertState, Mute, Preview, Scope, WrongMute,
};
use flowtrack_event::{Detection, Evidence, FlowId, IpProto, Severity, Technique, Timestamp};
use flowtrack_store::history::{AlertPage, AlertQuery};
use flowtrack_web::{AlertDesk, AlertNews};
use std::sync::{Arc, Mutex};

/// A book of alerts without history behind it.
pub struct Desk {
    pub book: Mutex<AlertBook>,
    pub news: Mutex<Arc<AlertNews>>,
}

impl Default for Desk {
    fn default() -> Self {
        let book = Mutex::new(AlertBook::new(alerts::Config::default()));
        Self { book, news: Mutex::default() }
    }
}

impl Desk {
    /// Opens an alert, and tells of it.
    pub fn detect(&self, detection: &Detection) -> u64 {
        let mut book = self.book.lock().unwrap();
        book.detection(detection);
        let told = book.drain(1).remove(0).alert;
        let mut news = self.news.lock().unwrap();
        let mut next = AlertNews::clone(&news);
        next.revision += 1;
        next.unseen = book.unseen();
        next.changed.push_back((next.revision, Arc::clone(&told)));
        *news = Arc::new(next);
        told.id
    }
}

impl AlertDesk for Desk {
    fn news(&self) -> Arc<AlertNews> {
        Arc::clone(&self.news.lock().unwrap())
    }

    fn page(&self, query: &AlertQuery) -> anyhow::Result<AlertPage> {
        Ok(query.page_of(self.book.lock().unwrap().alerts()))
    }

    fn get(&self, id: u64) -> anyhow::Result<Option<AlertRecord>> {
        Ok(self.book.lock().unwrap().get(id).cloned())
    }

    fn set(
        &self,
        ids: &[u64],
        state: Option<AlertState>,
        note: Option<&str>,
    ) -> anyhow::Result<usize> {
        let mut book = self.book.lock().unwrap();
        Ok(ids.iter().filter(|id| book.set(**id, state, note).is_some()).count())
    }

    fn mutes(&self) -> Vec<Mute> {
        self.book.lock().unwrap().mutes().to_vec()
    }

    fn add_mute(&self, mute: Mute) -> Result<Mute, WrongMute> {
        let now = mute.created;
        self.book.lock().unwrap().add_mute(mute, now)
    }

    fn remove_mute(&self, id: u64) -> bool {
        self.book.lock().unwrap().remove_mute(id, Timestamp::ZERO)
    }

    fn preview(&self, scope: &Scope, _since_us: i64) -> anyhow::Result<Preview> {
        let mut preview = Preview::default();
        self.book.lock().unwrap().alerts().for_each(|alert| preview.add(scope, alert));
        Ok(preview)
    }

    fn mute_days(&self) -> u32 {
        7
    }
}

/// A scan whose title would like to be markup.
pub fn scan() -> Detection {
    let ts = Timestamp::from_secs(1_796_083_200);
    Detection {
        ts,
        detector: "port_scan",
        kind: "vertical",
        sid: 101,
        title: "192.0.2.66 scans ports of 192.0.2.1 <script>alert(1)</script>".into(),
        explanation: "One host tries many ports of another: it looks for a way in.".into(),
        severity: Severity::High,
        category: "reconnaissance",
        technique: Some(Technique { id: "T1046", name: "Network Service Discovery" }),
        source: "192.0.2.66".parse().ok(),
        target: "192.0.2.1".parse().ok(),
        target_port: None,
        proto: Some(IpProto::TCP),
        first_seen: ts,
        last_seen: ts,
        count: 40,
        evidence: vec![
            ("ports".into(), Evidence::Count(40)),
            ("some ports".into(), Evidence::List(vec!["22".into(), "80".into()])),
        ],
        flows: vec![FlowId(7)],
        source_proved: true,
    }
}
