//! Conversations as inputs of the fuzz target `fuzz/src/target.rs`, which says how they are written.
//!
//! With `FUZZ_SEEDS` they are written to that folder.

use super::{Conversation, Step, all};
use flowtrack_event::Direction;

#[path = "../../../../fuzz/src/mark.rs"]
mod mark;

/// Most bytes that one step of an input carries.
const STEP: usize = 255;

#[test]
fn every_conversation_is_a_seed() {
    let folder = std::env::var_os("FUZZ_SEEDS").map(std::path::PathBuf::from);
    for (path, conversation) in all() {
        let protocol = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        for kind in [0, 1] {
            let seed = seed(kind, &protocol.replace('_', "-"), &conversation);
            assert!(seed.len() > 4, "{}", path.display());
            if let Some(folder) = &folder {
                std::fs::write(folder.join(format!("{protocol}-{name}-{kind}")), seed).unwrap();
            }
        }
    }
}

fn seed(kind: u8, protocol: &str, conversation: &Conversation) -> Vec<u8> {
    let mut seed = vec![kind];
    seed.extend(mark::mark(protocol));
    seed.push(u8::from(conversation.udp));
    let mut add = |control: u8, direction: Direction, length: usize, bytes: &[u8]| {
        seed.extend([control << 1 | u8::from(direction == Direction::ToClient), length as u8]);
        seed.extend(bytes);
    };
    for step in &conversation.steps {
        match step {
            Step::Bytes(direction, bytes) => {
                for piece in bytes.chunks(STEP) {
                    add(0, *direction, piece.len(), piece);
                }
            }
            Step::Gap(direction, n) => {
                add(2, *direction, n.div_ceil(16).min(STEP as u64) as usize, &[]);
            }
            Step::Fin(direction) => add(3, *direction, 0, &[]),
        }
    }
    seed
}
