//! Blocking as the dashboard sees it.

use super::Respond;
use super::preview::preview;
use flowtrack_respond::{Block, Command, PastBlock, Reply, Request, What};
use flowtrack_web::{BlockList, BlockPreview, BlockRequest, BlockRow, Blocking, Confirm};

impl Blocking for Respond {
    fn list(&self) -> Result<BlockList, String> {
        match self.ask(Command::List) {
            Reply::Blocked(status) => Ok(BlockList {
                firewall: status.firewall,
                notes: status.notes,
                problem: status.problem,
                automatic: status.automatic,
                blocks: status.blocks.into_iter().map(row).collect(),
                past: status.past.into_iter().map(past_row).collect(),
                blocked: status.stats.blocked,
                would_block: status.stats.would_block,
                refused: status.stats.refused,
                unproved: status.stats.unproved,
                held_back: status.stats.held_back,
            }),
            other => rows(other).map(|_| BlockList::default()),
        }
    }

    fn block(&self, request: &BlockRequest, confirm: Confirm) -> Result<Vec<BlockRow>, String> {
        let why = match request.why.trim() {
            "" => "blocked by hand, in the dashboard",
            why => why,
        };
        let whats = whats(&request.what)?;
        let confirm = match confirm {
            Confirm::Needed => true,
            Confirm::ForNetworks => whats.iter().any(What::is_network),
            Confirm::Needless => false,
        };
        let one = |what: What| Request {
            what,
            secs: request.secs,
            who: "admin".into(),
            why: why.chars().take(MAX_WHY).collect(),
            confirm,
        };
        let requests = whats.into_iter().map(one).collect();
        rows(self.ask(Command::Block { requests }))
    }

    fn unblock(&self, what: Option<&str>) -> Result<Vec<BlockRow>, String> {
        rows(self.ask(Command::Unblock { whats: choice(what)?, who: "admin".into() }))
    }

    fn confirm(&self, what: Option<&str>) -> Result<Vec<BlockRow>, String> {
        rows(self.ask(Command::Confirm { whats: choice(what)? }))
    }

    fn preview(&self, texts: &[String], hours: u32) -> Result<BlockPreview, String> {
        let history = self.history.as_ref().ok_or("history is off")?;
        // What is shown now is to be in the answer too.
        history.flush();
        let around = super::look(self.dashboard.get());
        preview(&history.reader(), &whats(texts)?, hours, &around, &self.config)
            .map_err(|error| format!("{error:#}"))
    }
}

fn choice(what: Option<&str>) -> Result<Vec<What>, String> {
    what.map(|what| what.parse::<What>().map_err(|e| e.to_string())).into_iter().collect()
}

fn whats(texts: &[String]) -> Result<Vec<What>, String> {
    texts.iter().map(|text| text.parse::<What>().map_err(|e| e.to_string())).collect()
}

fn rows(reply: Reply) -> Result<Vec<BlockRow>, String> {
    match reply {
        Reply::Done { blocks } => Ok(blocks.into_iter().map(row).collect()),
        Reply::Blocked(_) => Ok(Vec::new()),
        Reply::Refused { why, .. } => Err(why),
    }
}

fn row(block: Block) -> BlockRow {
    BlockRow {
        what: block.what.to_string(),
        who: block.who,
        why: block.why,
        automatic: block.automatic,
        since_us: block.since_us,
        until_us: block.until_us,
        confirmed_until_us: block.confirmed_until_us,
        packets: block.packets,
        bytes: block.bytes,
        ended_us: None,
        end: String::new(),
    }
}

fn past_row(past: PastBlock) -> BlockRow {
    BlockRow { ended_us: Some(past.ended_us), end: past.end, ..row(past.block) }
}

/// Longest reason, in characters.
const MAX_WHY: usize = 500;
