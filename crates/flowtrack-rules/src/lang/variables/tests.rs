use super::Variables;
use std::net::IpAddr;

fn holds(text: &str, address: &str) -> bool {
    let set = Variables::default().addresses(text).expect(text);
    set.contains(address.parse::<IpAddr>().expect(address))
}

#[test]
fn the_variables_of_the_field_are_there() {
    assert!(Variables::default().problems().is_empty());
    assert!(holds("$HOME_NET", "10.1.2.3"));
    assert!(!holds("$HOME_NET", "11.1.2.3"));
    assert!(holds("$EXTERNAL_NET", "11.1.2.3"));
    assert!(!holds("$EXTERNAL_NET", "172.31.255.255"));
    assert!(holds("![$SMTP_SERVERS,$DNS_SERVERS]", "8.8.8.8"));
    assert!(holds("!$EXTERNAL_NET", "192.168.0.1"));
}

#[test]
fn lists_are_what_is_wanted_less_what_is_not() {
    assert!(!holds("[$EXTERNAL_NET,!255.255.255.255]", "255.255.255.255"));
    assert!(holds("[$EXTERNAL_NET,!255.255.255.255]", "255.255.255.254"));
    assert!(!holds("[$EXTERNAL_NET,!255.255.255.255]", "10.0.0.1"));
    assert!(!holds("[!224.0.0.1, $EXTERNAL_NET]", "224.0.0.1"));
    assert!(holds("[10.0.0.0/8,![10.1.0.0/16,10.2.0.0/255.255.0.0]]", "10.3.0.1"));
    assert!(!holds("[10.0.0.0/8,![10.1.0.0/16,10.2.0.0/255.255.0.0]]", "10.2.9.1"));
    assert!(holds("[10.0.0.1,2001:db8::1-2001:db8::ff]", "2001:db8::80"));
    assert!(!holds("[10.0.0.1,2001:db8::1-2001:db8::ff]", "2001:db8::100"));
    assert!(!holds("!10.0.0.0/8", "2001:db8::1"), "the other family is not meant");
    assert!(holds("[any,!10.0.0.0/8]", "2001:db8::1"));
    assert!(holds("0.0.0.0/0", "255.255.255.255"));
    assert!(holds("::/0", "::1"));
}

#[test]
fn ports_come_alone_in_ranges_and_in_lists() {
    let holds = |text: &str, port| Variables::default().ports(text).expect(text).contains(port);
    assert!(holds("1024:", 65535));
    assert!(!holds("1024:", 1023));
    assert!(holds(":1023", 0));
    assert!(!holds("!$HTTP_PORTS", 80));
    assert!(holds("[1024:5000, 49152:,!2000]", 1999));
    assert!(!holds("[1024:5000, 49152:,!2000]", 2000));
    assert!(holds("$SHELLCODE_PORTS", 81));
    assert!(Variables::default().ports("any").expect("any").is_any());
}

#[test]
fn mistakes_say_where_and_what_was_meant() {
    let vars = Variables::default();
    let wrong = |text: &str| {
        let c = vars.addresses(text).expect_err(text);
        (c.offset, c.message)
    };
    assert_eq!(
        wrong("[$HOME_NET,$HOM_NET]").1,
        "no variable $HOM_NET of addresses; did you mean \"HOME_NET\"?"
    );
    assert_eq!(wrong("[$HOME_NET, $HOM_NET]").0, 12);
    assert_eq!(
        wrong("$HTTP_PORTS").1,
        "$HTTP_PORTS is a variable of ports, expected one of addresses"
    );
    assert_eq!(wrong("[10.0.0.1").1, "opening bracket without a closing one");
    assert_eq!(wrong("10.0.0.1]").1, "closing bracket without an opening one");
    assert_eq!(wrong("[10.0.0.1,]").1, "expected addresses, found nothing");
    assert_eq!(wrong("!any").1, "no address is left of !any");
    assert!(wrong("10.0.0.0/33").1.contains("0 to 32"));
    assert!(wrong("10.0.0.300").1.contains("is no address"));
    assert!(vars.ports("1:65536").is_err());
    assert!(vars.ports("9:1").is_err());
}

#[test]
fn variables_that_name_themselves_come_to_an_end() {
    let mut vars = Variables::default();
    vars.set_address("A", "$B");
    vars.set_address("B", "!$A");
    assert!(vars.addresses("$A").is_err());
    assert_eq!(vars.problems().len(), 2);
    vars.set_address("L0", "10.0.0.0/8");
    for i in 1..30 {
        vars.set_address(&format!("L{i}"), &format!("[$L{0},$L{0}]", i - 1));
    }
    assert!(vars.addresses("$L29").is_err());
}
