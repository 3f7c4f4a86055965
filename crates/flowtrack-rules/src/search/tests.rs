use super::*;
use crate::keywords::understand;
use crate::lang::{Headers, Variables, parse_rules};
use crate::state::Shared;
use flowtrack_event::{Direction, Timestamp};

/// Whether the payload part of a rule holds of bytes.
fn holds_at(options: &str, bytes: &[u8], offset: u64) -> bool {
    let text = format!("alert tcp any any -> any any ({options} sid:1;)");
    let (rules, problems) = parse_rules("test", &text);
    assert_eq!(problems, []);
    let mut headers = Headers::new(Variables::default());
    let understood =
        understand(&rules[0], &mut headers).unwrap_or_else(|e| panic!("{options}: {e:?}"));
    let shared = Shared::default();
    let mut cx = Context::new(Timestamp::ZERO, Direction::ToServer, &shared);
    let mut searcher = Searcher::default();
    searcher.begin();
    understood
        .signature
        .searches
        .iter()
        .all(|search| searcher.holds(&search.steps, bytes, offset, &mut cx))
}

#[track_caller]
fn yes(options: &str, bytes: &[u8]) {
    assert!(holds_at(options, bytes, 0), "{options} should hold");
}

#[track_caller]
fn no(options: &str, bytes: &[u8]) {
    assert!(!holds_at(options, bytes, 0), "{options} should not hold");
}

#[test]
fn contents() {
    yes(r#"content:"b|43|d";"#, b"abCd");
    no(r#"content:"bcd";"#, b"abCd");
    yes(r#"content:"bcd"; nocase;"#, b"abCd");
    yes(r#"content:!"x";"#, b"abc");
    no(r#"content:!"b";"#, b"abc");
    yes(r#"content:"a\"b\;c\\";"#, b"a\"b;c\\");
    no(r#"content:"abcd";"#, b"abc");
}

#[test]
fn places() {
    yes(r#"content:"b"; offset:1; depth:1;"#, b"abc");
    no(r#"content:"c"; offset:1; depth:1;"#, b"abc");
    no(r#"content:"a"; offset:1;"#, b"abc");
    yes(r#"content:"a"; offset:1;"#, b"aba");
    yes(r#"content:!"c"; depth:2;"#, b"abc");
    yes(r#"content:"ab"; startswith;"#, b"abab");
    no(r#"content:"b"; startswith;"#, b"abab");
    yes(r#"content:"ab"; endswith;"#, b"abab");
    no(r#"content:"a"; endswith;"#, b"abab");
    no(r#"content:!"ab"; endswith;"#, b"abab");
    yes(r#"content:"abab"; startswith; endswith;"#, b"abab");
    no(r#"content:"abab"; startswith; endswith;"#, b"ababa");
}

#[test]
fn relative_contents_try_later_occurrences_of_the_one_before() {
    yes(r#"content:"a"; content:"b"; distance:0; within:1;"#, b"axxab");
    no(r#"content:"a"; content:"b"; distance:1; within:1;"#, b"ab");
    yes(r#"content:"a"; content:"b"; distance:1; within:1;"#, b"abaxb");
    yes(
        r#"content:"a"; content:"b"; distance:0; content:"c"; distance:0; within:1;"#,
        b"ab.a.b.bc",
    );
    yes(r#"content:"b"; content:"a"; distance:-2; within:1;"#, b"ab");
    yes(r#"content:"a"; content:!"b"; within:1;"#, b"abac");
    no(r#"content:"a"; content:!"b"; within:1;"#, b"abab");
    // What is not relative begins anew.
    yes(r#"content:"b"; content:"a";"#, b"ab");
}

#[test]
fn expressions_in_a_chain() {
    yes(r#"content:"a"; pcre:"/^\d/R";"#, b"abca1");
    no(r#"content:"a"; pcre:"/^\d/R";"#, b"1ab");
    yes(r#"pcre:"/a/"; content:"c"; distance:0; within:1;"#, b"abac");
    yes(r#"content:"x"; pcre:!"/y/R";"#, b"yx");
    no(r#"pcre:!"/y/";"#, b"yx");
}

#[test]
fn bytes_in_a_chain() {
    yes(r#"content:"L"; byte_test:1,>,3,0,relative;"#, b"L\x01L\x05");
    no(r#"content:"L"; byte_test:1,>,9,0,relative;"#, b"L\x01L\x05");
    yes(r#"byte_jump:1,0; content:"Z"; within:1;"#, b"\x02abZ");
    yes(r#"byte_extract:1,0,n; content:"Z"; offset:n; depth:1;"#, b"\x03abZ");
    no(r#"byte_extract:1,0,n; content:"Z"; offset:n; depth:1;"#, b"\x02abZ");
    yes("byte_math:bytes 1, offset 0, oper +, rvalue 1, result n; isdataat:!n;", b"\x03abZ");
    yes(r#"content:"ab"; isdataat:!1,relative;"#, b"abxab");
    no(r#"content:"ab"; isdataat:2,relative;"#, b"abx");
}

#[test]
fn hidden_contents() {
    yes(r#"content:"k="; base64_decode:relative; base64_data; content:"hello";"#, b"k=aGVsbG8=");
    no(r#"content:"k="; base64_decode:relative; base64_data; content:"help";"#, b"k=aGVsbG8=");
}

#[test]
fn depth_counts_from_the_start_of_the_stream() {
    assert!(holds_at(r#"content:"b"; depth:5;"#, b"ab", 3));
    assert!(!holds_at(r#"content:"b"; depth:4;"#, b"ab", 3));
    assert!(!holds_at(r#"content:!"b"; depth:2;"#, b"aa", 3));
}

#[test]
fn retries_are_bounded() {
    let text = concat!(
        r#"alert tcp any any -> any any (content:"a"; content:"a"; distance:0; "#,
        r#"content:"a"; distance:0; content:"b"; distance:0; within:1; sid:1;)"#,
    );
    let (rules, _) = parse_rules("test", text);
    let mut headers = Headers::new(Variables::default());
    let signature = understand(&rules[0], &mut headers).unwrap().signature;
    let shared = Shared::default();
    let mut cx = Context::new(Timestamp::ZERO, Direction::ToServer, &shared);
    let mut searcher = Searcher::default();
    assert!(!searcher.holds(&signature.searches[0].steps, &[b'a'; 5000], 0, &mut cx));
    assert_eq!(searcher.counters.retries_exhausted, 1);
}

#[test]
fn what_tries_capture_is_bounded() {
    let text = concat!(
        r#"alert tcp any any -> any any (content:"a"; pcre:"/(.*)/sR,flow:rest"; "#,
        "byte_test:1,=,9,0; sid:1;)",
    );
    let (rules, _) = parse_rules("test", text);
    let mut headers = Headers::new(Variables::default());
    let signature = understand(&rules[0], &mut headers).unwrap().signature;
    let shared = Shared::default();
    let mut cx = Context::new(Timestamp::ZERO, Direction::ToServer, &shared);
    let mut searcher = Searcher::default();
    assert!(!searcher.holds(&signature.searches[0].steps, &[b'a'; 5000], 0, &mut cx));
    assert_eq!(searcher.counters.retries_exhausted, 1);
    let lengths: Vec<_> = searcher.captured.iter().map(|(.., text)| text.len()).collect();
    assert_eq!(lengths, [MAX_TEXT]);
}

#[test]
fn what_is_relative_follows_a_content_that_was_moved() {
    let rule =
        r#"alert http any any -> any any (content:"a"; http_uri; isdataat:!1,relative; sid:1;)"#;
    let (rules, _) = parse_rules("test", rule);
    let mut headers = Headers::new(Variables::default());
    let signature = understand(&rules[0], &mut headers).unwrap().signature;
    let searches: Vec<_> =
        signature.searches.iter().map(|search| (search.buffer.name, search.steps.len())).collect();
    assert_eq!(searches, [("http.uri", 2)]);
}
