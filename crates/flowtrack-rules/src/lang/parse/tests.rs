use super::{option_text, parse_rules};
use crate::lang::{Action, Arrow, Rule, Span};
use proptest::prelude::*;

#[test]
fn header_options_and_places() {
    let text = "# a comment\n\nalert tcp [10.0.0.1, !$X] 1: -> any any (msg:\"a\\;b\\\"c\"; content:\"x\" ; nocase; sid:7;)\n";
    let (rules, problems) = parse_rules("a.rules", text);
    assert_eq!(problems, []);
    let rule = &rules[0];
    assert_eq!(rule.at, Span { line: 3, column: 1 });
    assert_eq!(rule.header.action, Action::Alert);
    assert_eq!(&*rule.header.src, "[10.0.0.1, !$X]");
    assert_eq!(&*rule.header.src_ports, "1:");
    assert_eq!(rule.header.arrow, Arrow::Right);
    assert_eq!(rule.header.at.src_ports, Span { line: 3, column: 27 });
    let names: Vec<_> = rule.options.iter().map(|option| &*option.name).collect();
    assert_eq!(names, ["msg", "content", "nocase", "sid"]);
    assert_eq!(rule.options[0].value.as_deref(), Some("\"a\\;b\\\"c\""));
    assert_eq!(option_text(rule.options[0].value.as_deref().unwrap()), "a;b\"c");
    assert_eq!(rule.options[2].value, None);
    assert_eq!(rule.sid(), Some(7));
}

#[test]
fn a_rule_may_take_several_lines() {
    let text = "alert dns any any -> any any (msg:\"x\"; \\\r\n  # explains\n  dns.query; content:\"y\";\\  \n sid:1;)\nalert ip any any <> any any(sid:2;)\npass http any any => any any ( sid : 3 ; )";
    let (rules, problems) = parse_rules("a.rules", text);
    assert_eq!(problems, []);
    assert_eq!(rules.iter().map(Rule::sid).collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
    assert_eq!(rules[0].options[1].at, Span { line: 3, column: 3 });
    assert_eq!(rules[0].options[3].at, Span { line: 4, column: 2 });
    assert_eq!(rules[2].header.arrow, Arrow::Transaction);
    assert_eq!(&*rules[2].options[0].name, "sid");
}

#[test]
fn mistakes_say_where_and_what_was_expected() {
    let wrong = |text: &str| {
        let (rules, problems) = parse_rules("a.rules", text);
        assert_eq!(rules.len(), 0, "{text}");
        problems[0].to_string()
    };
    assert_eq!(
        wrong("\nalrt tcp any any -> any any (sid:9;)"),
        "a.rules:2:1: unknown action \"alrt\"; did you mean \"alert\"?"
    );
    assert_eq!(
        wrong("drop:flows tcp any any -> any any (sid:9;)"),
        "a.rules:1:1: drop applies to packet or flow, not to \"flows\""
    );
    assert_eq!(
        wrong("drop:flow,tell tcp any any -> any any (sid:9;)"),
        "a.rules:1:1: unknown action \"tell\""
    );
    assert_eq!(
        wrong("alert tcp any any <- any any (sid:9;)"),
        "a.rules:1:19: \"<-\" is no direction: expected ->, <> or =>; swap the two sides and write ->"
    );
    assert_eq!(
        wrong("alert tcp any any -> any any sid:9;)"),
        "a.rules:1:30: expected ( before the options"
    );
    assert_eq!(
        wrong("alert tcp any any -> any any (sid:9;"),
        "a.rules:1:37: expected ) at the end of the rule"
    );
    assert_eq!(
        wrong("alert tcp any any -> any any (sid:9)"),
        "a.rules:1:31: expected ; behind \"sid:9\""
    );
    assert_eq!(wrong("alert tcp any any ->"), "a.rules:1:21: expected destination addresses");
    assert_eq!(
        wrong("alert tcp [1.1.1.1 any -> any any (sid:9;)"),
        "a.rules:1:11: opening bracket without a closing one"
    );
    assert!(
        wrong("alert tcp any any -> any any (content:\"a; b\"; sid:9;)").contains("is written \\;")
    );
    assert_eq!(parse_rules("a", "nonsense (sid: 77;)").1[0].sid, Some(77));
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in "(alert|pass)? ?(tcp)? ?([\\[\\],!$a-z0-9 ]{0,20}(->|<>)?)?[ \\\\();:\"a-z\n#\u{e9}]{0,60}") {
        let (rules, problems) = parse_rules("x", &text);
        prop_assert!(rules.len() + problems.len() <= text.lines().count());
    }
}
