//! Keywords that say what a signature is rather than what it looks for.

use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::lang::{Action, did_you_mean, option_text};
use flowtrack_event::Target;
use std::sync::Arc;

pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "msg",
        aliases: &[],
        doc: "What alerts say.",
        example: r#"alert tcp any any -> any any (msg:"Somebody said hello"; content:"hello"; sid:1;)"#,
        parse: msg,
    },
    Keyword {
        name: "sid",
        aliases: &[],
        doc: "The number of the signature, its own among all of its generator.",
        example: r#"alert tcp any any -> any any (content:"hello"; sid:1000001;)"#,
        parse: sid,
    },
    Keyword {
        name: "gid",
        aliases: &[],
        doc: "The number of the generator; 1 where it is not given.",
        example: r#"alert tcp any any -> any any (content:"hello"; gid:1; sid:1;)"#,
        parse: gid,
    },
    Keyword {
        name: "rev",
        aliases: &[],
        doc: "How often the signature was revised.",
        example: r#"alert tcp any any -> any any (content:"hello"; sid:1; rev:3;)"#,
        parse: rev,
    },
    Keyword {
        name: "classtype",
        aliases: &[],
        doc: "The class of the signature, from `classification.config`: its priority and category.",
        example: r#"alert tcp any any -> any any (content:"hello"; classtype:misc-activity; sid:1;)"#,
        parse: classtype,
    },
    Keyword {
        name: "priority",
        aliases: &[],
        doc: "How urgent alerts are, 1 to 255, 1 most; goes before that of the class.",
        example: r#"alert tcp any any -> any any (content:"hello"; priority:1; sid:1;)"#,
        parse: priority,
    },
    Keyword {
        name: "reference",
        aliases: &[],
        doc: "Where to read more: system (`url`, `cve`, others of `reference.config`), and what.",
        example: r#"alert tcp any any -> any any (content:"hello"; reference:url,example.org/hello; sid:1;)"#,
        parse: reference,
    },
    Keyword {
        name: "metadata",
        aliases: &[],
        doc: "Names and values that alerts carry, with commas between the pairs.",
        example: r#"alert tcp any any -> any any (content:"hello"; metadata:deployment Perimeter, confidence High; sid:1;)"#,
        parse: metadata,
    },
    Keyword {
        name: "target",
        aliases: &[],
        doc: "Which end is the victim: `src_ip` or `dest_ip`.",
        example: r#"alert tcp any any -> any any (content:"hello"; target:dest_ip; sid:1;)"#,
        parse: target,
    },
    Keyword {
        name: "noalert",
        aliases: &[],
        doc: "A match is silent; for signatures that only set what others ask for.",
        example: r#"alert tcp any any -> any any (content:"hello"; noalert; sid:1;)"#,
        parse: noalert,
    },
    Keyword {
        name: "bypass",
        aliases: &[],
        doc: "Behind a match nothing more of the flow is judged.",
        example: r#"alert tls any any -> any any (tls.sni; content:"example.org"; bypass; sid:1;)"#,
        parse: |builder, value| {
            value.none()?;
            builder.bypass = true;
            Ok(())
        },
    },
    Keyword {
        name: "nfq_set_mark",
        aliases: &[],
        doc: "A mark that an inline system puts on packets; without effect here.",
        example: r#"alert tcp any any -> any any (content:"hello"; nfq_set_mark:0x10/0xffff; sid:1;)"#,
        parse: |builder, value| {
            value.needed("a mark and a mask, such as 0x10/0xffff")?;
            builder.warn("packets are not marked: nfq_set_mark stays without effect");
            Ok(())
        },
    },
    Keyword {
        name: "alert",
        aliases: &[],
        doc: "A match alerts, although the action would be silent: `pass` that tells of it.",
        example: r#"pass tcp any any -> any any (content:"hello"; alert; sid:1;)"#,
        parse: alert,
    },
    Keyword {
        name: "requires",
        aliases: &[],
        doc: "What must be there for the rule to be loaded: `version`, `feature`, `keyword`. \
              The version that FlowTrack answers with is that of the Suricata whose language it \
              speaks, 9.0.0.",
        example: r#"alert tcp any any -> any any (requires:version >= 7.0.3, keyword http.uri; content:"hello"; sid:1;)"#,
        parse: requires,
    },
    Keyword {
        name: "config",
        aliases: &[],
        doc: "What a rule of the action `config` changes. Such rules are read and stay without \
              effect: FlowTrack records everything.",
        example: r#"config http any any -> any any (http.host; content:"hello"; config:logging disable, type tx, scope tx; sid:1;)"#,
        parse: config,
    },
];

fn msg(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("a text in quotes")?;
    if !is_quoted(text) {
        return Err(Complaint::new("expected a text in quotes; a semicolon in it is written \\;"));
    }
    builder.info.signature = option_text(text).into();
    Ok(())
}

fn sid(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    builder.info.sid = number(value, 1)?;
    // Every rule has a sid, so this is where the actions that say nothing are made silent.
    let is_silent = matches!(builder.rule.header.action, Action::Pass | Action::Config);
    builder.noalert |= is_silent && builder.rule.option("alert").is_none();
    Ok(())
}

fn gid(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    builder.info.gid = number(value, 0)?;
    Ok(())
}

fn rev(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    builder.info.rev = number(value, 0)?;
    Ok(())
}

fn number(value: &Value<'_>, least: u32) -> Result<u32, Complaint> {
    let text = unquoted(value.needed("a number")?);
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(Complaint::new(format!("\"{text}\" is no number from {least} to {}", u32::MAX))),
    }
}

fn classtype(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let name = unquoted(value.needed("the name of a class")?);
    let classes = &builder.headers.classes;
    let Some(class) = classes.get(name) else {
        // Sets of rules are ahead of the file that stands beside them; the rule is as good.
        let near = did_you_mean(name, classes.names());
        builder.warn(format!("unknown class \"{name}\"{near}"));
        return Ok(());
    };
    builder.info.category = class.description.clone();
    if builder.rule.option("priority").is_none() {
        builder.info.severity = class.priority;
    }
    Ok(())
}

fn priority(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = unquoted(value.needed("a number from 1 to 255")?);
    match text.parse() {
        Ok(priority @ 1..=255u8) => {
            builder.info.severity = priority;
            Ok(())
        }
        _ => Err(Complaint::new(format!("\"{text}\" is no priority: expected 1 to 255"))),
    }
}

fn reference(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("a system and what it knows, such as cve,2021-44228")?;
    let Some((system, what)) = text.split_once(',') else {
        return Err(Complaint::new("expected a system and what it knows, such as cve,2021-44228"));
    };
    let (system, what) = (system.trim(), option_text(what.trim()));
    match builder.headers.references.link(system, &what) {
        Some(link) => builder.info.references.push(link.into()),
        None => {
            let near = did_you_mean(system, builder.headers.references.systems());
            builder.warn(format!("unknown system of references \"{system}\"{near}"));
            builder.info.references.push(what.into());
        }
    }
    Ok(())
}

fn metadata(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("names and values")?;
    for pair in text.split(',') {
        // A name alone says nothing.
        if let Some((name, rest)) = pair.trim().split_once(' ') {
            let pair: (Arc<str>, Arc<str>) = (name.into(), rest.trim().into());
            builder.info.metadata.push(pair);
        }
    }
    Ok(())
}

fn target(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    builder.info.target = Some(match unquoted(value.needed("src_ip or dest_ip")?) {
        "src_ip" => Target::Source,
        "dest_ip" => Target::Destination,
        other => {
            let near = did_you_mean(other, ["src_ip", "dest_ip"]);
            return Err(Complaint::new(format!("expected src_ip or dest_ip{near}")));
        }
    });
    Ok(())
}

fn noalert(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    value.none()?;
    builder.noalert = true;
    Ok(())
}

fn alert(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    value.none()?;
    if builder.rule.option("noalert").is_some() {
        return Err(Complaint::new("alert and noalert exclude each other"));
    }
    Ok(())
}

fn requires(_: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    unmet(value.needed("what must be there, such as version >= 7")?)
}

/// Says what of `requires` is not there; before anything else of a rule is judged, for it may
/// hold words of another version.
pub(crate) fn unmet(text: &str) -> Result<(), Complaint> {
    let skip = |what: &str| Err(Complaint::skip("requires what is not there", what.to_owned()));
    for demand in text.split(',').map(str::trim) {
        let (word, rest) = demand.split_once(char::is_whitespace).unwrap_or((demand, ""));
        match word {
            "version" => {
                if !version_fits(rest)? {
                    return skip(&format!("requires version {}", rest.trim()));
                }
            }
            "keyword" => {
                if super::find(rest.trim()).is_none() {
                    return skip(&format!("requires the keyword {}", rest.trim()));
                }
            }
            "feature" => {
                if !FEATURES.contains(&rest.trim()) {
                    return skip(&format!("requires the feature {}", rest.trim()));
                }
            }
            "" => return Err(Complaint::new("expected version, feature or keyword")),
            other => return skip(&format!("requires {other}, which is unknown")),
        }
    }
    Ok(())
}

/// Features that rules may ask for.
const FEATURES: &[&str] = &["output::filestore", "datasets", "http2", "ja3", "ja4"];

/// The version of the language that is spoken.
const VERSION: (u32, u32, u32) = (9, 0, 0);

/// Whether the version is in one of the ranges: `>= 7.0.3 < 8 | >= 9`.
fn version_fits(ranges: &str) -> Result<bool, Complaint> {
    const EXPECTED: &str = "expected versions as >= 7.0.3 < 8 | >= 9";
    let mut fits = false;
    for range in ranges.split('|') {
        let mut within = true;
        let mut rest = range.trim();
        if rest.is_empty() {
            return Err(Complaint::new(EXPECTED));
        }
        while !rest.is_empty() {
            let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let (sign, behind) = rest.split_at(end);
            let end =
                behind.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(behind.len());
            let (number, behind) = behind.split_at(end);
            let number = version(number).ok_or_else(|| Complaint::new(EXPECTED))?;
            within &= match sign.trim() {
                ">=" => VERSION >= number,
                ">" => VERSION > number,
                "<=" => VERSION <= number,
                "<" => VERSION < number,
                _ => return Err(Complaint::new(EXPECTED)),
            };
            rest = behind.trim_start();
        }
        fits |= within;
    }
    Ok(fits)
}

/// `7`, `7.0` or `7.0.3`.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    let version =
        (parts.next()??, parts.next().unwrap_or(Some(0))?, parts.next().unwrap_or(Some(0))?);
    parts.next().is_none().then_some(version)
}

fn config(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    value.needed("what is changed, such as logging disable, type tx, scope tx")?;
    if builder.rule.header.action != Action::Config {
        return Err(Complaint::new("this belongs into rules of the action config"));
    }
    builder.warn("rules of the action config stay without effect: everything is recorded");
    Ok(())
}

fn is_quoted(text: &str) -> bool {
    text.len() >= 2 && text.starts_with('"') && text.ends_with('"')
}

fn unquoted(text: &str) -> &str {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => inner.trim(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{unmet, version_fits};
    use crate::keywords::{Understood, understand};
    use crate::lang::{Headers, Variables, parse_rules};

    fn rule(text: &str) -> Result<Understood, String> {
        let (rules, problems) = parse_rules("x", text);
        assert_eq!(problems, []);
        understand(&rules[0], &mut Headers::new(Variables::default()))
            .map_err(|refused| refused.message)
    }

    #[test]
    fn what_a_signature_is() {
        let understood = rule(
            "alert tcp any any -> any any (msg:\"one\\; two\"; gid:7; sid:9; rev:3; \
             classtype:web-application-attack; reference:cve,2021-1; reference:url,a.b/c; \
             metadata:a b c, d, e  f; target:src_ip;)",
        )
        .unwrap();
        let info = &understood.signature.info;
        assert_eq!(&*info.signature, "one; two");
        assert_eq!((info.gid, info.sid, info.rev, info.severity), (7, 9, 3, 1));
        assert_eq!(&*info.category, "Web Application Attack");
        assert_eq!(&*info.references[1], "http://a.b/c");
        let metadata: Vec<_> = info.metadata.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(metadata, ["a=b c", "e=f"]);
    }

    #[test]
    fn priority_goes_before_the_class() {
        for order in
            ["priority:4; classtype:trojan-activity;", "classtype:trojan-activity; priority:4;"]
        {
            let text = format!("alert tcp any any -> any any ({order} sid:1;)");
            assert_eq!(rule(&text).unwrap().signature.info.severity, 4);
        }
        let unknown = rule("alert tcp any any -> any any (classtype:trojan-activty; sid:1;)");
        assert_eq!(
            unknown.unwrap().warnings[0].1,
            "unknown class \"trojan-activty\"; did you mean \"trojan-activity\"?"
        );
    }

    #[test]
    fn passes_are_silent_unless_they_ask() {
        let silent = |text: &str| rule(text).unwrap().signature.noalert;
        assert!(silent("pass tcp any any -> any any (sid:1;)"));
        assert!(!silent("pass tcp any any -> any any (alert; sid:1;)"));
        assert!(!silent("alert tcp any any -> any any (sid:1;)"));
        assert!(silent("alert tcp any any -> any any (noalert; sid:1;)"));
    }

    #[test]
    fn versions() {
        for fits in [">= 7", ">= 7.0.3 < 10", "< 8 | >= 9", ">=9.0.0", "> 8", "<= 9"] {
            assert_eq!(version_fits(fits), Ok(true), "{fits}");
        }
        for not in [">= 10", ">= 7 < 8", ">= 7.0.3 < 8 | >= 9.0.99"] {
            assert_eq!(version_fits(not), Ok(false), "{not}");
        }
        for wrong in ["", "7", ">= x", ">= 1.2.3.4", ">="] {
            assert!(version_fits(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_required_and_not_there_is_skipped() {
        assert_eq!(unmet("version >= 8, keyword sid"), Ok(()));
        for text in ["version >= 8, keyword foobar", "foo bar", "feature none"] {
            assert!(unmet(text).unwrap_err().skip.is_some(), "{text}");
        }
        assert!(
            rule("alert vxlan any any -> any any (requires: version >= 10; odd; sid:1;)")
                .unwrap_err()
                .contains("version >= 10")
        );
    }
}
