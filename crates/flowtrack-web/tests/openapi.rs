//! The committed description of the API is the one that the server has.

use std::{env, fs};

#[test]
fn the_committed_description_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/openapi.json");
    let mut now = flowtrack_web::openapi().to_pretty_json().unwrap();
    now.push('\n');
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, &now).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == now,
        "web/openapi.json is out of date; run `UPDATE_EXPECT=1 cargo test -p flowtrack-web` and \
         then `npm run generate` in web"
    );
}
