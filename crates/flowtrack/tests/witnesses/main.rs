//! FlowTrack beside other programs: what they said of the captures of the corpus, and what it says.
//!
//! The corpus is read in place, from `FLOWTRACK_CORPUS` or from beside the repository, and analysed
//! by the built program. Where it is absent each test says that it is skipped. Every test prints
//! its figure; where one fails it lists what differs. And beside itself: with more workers, and on
//! a wire.

mod alerts;
mod corpus;
mod http;
mod ja4;
mod ndpi;
mod own_config;
mod schema;

/// Counts how often two programs agree, and keeps what they differ in.
struct Agreement {
    what: &'static str,
    agreed: usize,
    differences: Vec<String>,
}

impl Agreement {
    fn on(what: &'static str) -> Self {
        Self { what, agreed: 0, differences: Vec::new() }
    }

    fn count(&mut self, same: bool, difference: impl FnOnce() -> String) {
        if same {
            self.agreed += 1;
        } else {
            self.differences.push(difference());
        }
    }

    /// Fails below so many in a hundred, and where there was almost nothing to compare.
    fn assert_at_least(&self, percent: usize, least: usize) {
        let all = self.agreed + self.differences.len();
        let figure = format!("{}: {} of {all} agree", self.what, self.agreed);
        println!("{figure}");
        assert!(all >= least, "{figure}, too few to say anything");
        assert!(
            self.agreed * 100 >= all * percent,
            "{figure}, less than {percent} %:\n{}",
            self.differences.join("\n")
        );
    }
}
