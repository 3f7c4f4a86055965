//! What rules may ask of transactions: some reader of a protocol has an answer to all of it.

use flowtrack_dissect::protocols::ALL;
use flowtrack_rules::lang::Variables;
use flowtrack_rules::{Loader, Source, keywords};
use std::collections::BTreeSet;

#[test]
fn every_buffer_of_transactions_has_a_reader_that_fills_it() {
    let answered: BTreeSet<&str> =
        ALL.iter().flat_map(|protocol| protocol.keywords()).map(|keyword| keyword.name).collect();
    let mut asked = 0;
    for keyword in keywords::all() {
        let mut loader = Loader::new(Variables::default());
        loader.add(keyword.name, keyword.example);
        for search in loader.finish().signatures.iter().flat_map(|signature| &signature.searches) {
            let name = search.buffer.name;
            // Files and frames are kept beside transactions.
            let is_own = !name.starts_with("file.") && !name.starts_with("frame.");
            if matches!(search.buffer.source, Source::Transaction) && is_own {
                asked += 1;
                assert!(answered.contains(name), "{}: nobody fills {name}", keyword.name);
            }
        }
    }
    assert!(asked > 100, "{asked} buffers");
}
