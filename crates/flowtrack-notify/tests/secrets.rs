//! Secrets never show: not in complaints about the configuration, not in what is printed of it,
//! not in what goes wrong while sending.

mod common;

use common::{HttpServer, Secrets, message, send};
use flowtrack_notify::{NotifyConfig, test_channel, warnings};
use proptest::prelude::*;

/// Each kind with its secrets as `{}`.
const CHANNELS: &[&str] = &[
    "type = \"slack\"\nurl = {}",
    "type = \"discord\"\nurl = {}",
    "type = \"teams\"\nurl = {}",
    "type = \"telegram\"\nchat_id = \"1\"\napi = \"http://127.0.0.1:1\"\ntoken = {}",
    "type = \"webhook\"\nsecret_url = {}\nsigning_key = {}\nauthorization = {}",
    "type = \"webhook\"\nurl = \"http://127.0.0.1:1\"\nsigning_key = {}\nauthorization = {}",
    "type = \"email\"\nserver = \"127.0.0.1\"\nport = 1\ntls = \"none\"\nfrom = \"a@b.c\"\n\
     to = [\"d@e.f\"]\nuser = \"u\"\npassword = {}",
    "type = \"sms\"\naccount_sid = \"AC0123456789abcdef0123456789abcdef\"\nfrom = \"x\"\n\
     to = \"+4915112345678\"\napi = \"http://127.0.0.1:1\"\nauth_token = {}",
];

fn channel(settings: &str, secret: &str) -> String {
    format!("[[channels]]\nname = \"c\"\n{}", settings.replace("{}", secret))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whoever_writes_a_secret_into_the_configuration_is_not_quoted(
        secret in "[A-Z0-9]{8,40}",
        form in 0..6,
    ) {
        let value = match form {
            0 => format!("\"{secret}\""),
            1 => format!("\"https://hooks.example.org/services/{secret}\""),
            2 => format!("\"env:{secret}-\""),
            3 => format!("\"file:{secret}\""),
            4 => format!("[\"{secret}\"]"),
            _ => format!("{{ {secret} = \"{secret}\" }}"),
        };
        for settings in CHANNELS {
            let error = toml::from_str::<NotifyConfig>(&channel(settings, &value)).unwrap_err();
            prop_assert!(!error.message().contains(&secret), "{}", error.message());
        }
    }

    #[test]
    fn nothing_that_is_printed_has_a_secret(
        secret in "[A-Z0-9]{8,40}",
        form in 0..3,
    ) {
        let value = match form {
            0 => secret.clone(),
            1 => format!("http://127.0.0.1:1/services/{secret}"),
            // Neither an address nor anything else that is right.
            _ => format!("ht tp://{secret}\u{e9}"),
        };
        let secrets = Secrets::new(&[("S", &value)]);
        let keeper = secrets.keeper();
        for settings in CHANNELS {
            let text = channel(settings, "\"env:S\"");
            let config: NotifyConfig = toml::from_str(&text).unwrap();
            let error = test_channel(&config, &keeper, "c").unwrap_err();
            let written = toml::to_string(&config).unwrap();
            let destination = config.channels[0].open().destination();
            let all = format!(
                "{config:?} {keeper:?} {written} {destination} {error} {error:?} {:?} {:?}",
                warnings(&config, &keeper),
                serde_json::to_string(&config),
            );
            prop_assert!(!all.contains(&secret), "{all}");
        }
    }
}

#[test]
fn a_server_that_says_secrets_back_is_not_quoted() {
    let server = HttpServer::start(&["400 Bad Request\r\n\r\nno hook T0K3NOFMINE, key hunter22"]);
    let secrets = Secrets::new(&[("S", &format!("{}/T0K3NOFMINE", server.url)), ("K", "hunter22")]);
    let settings = "type = \"webhook\"\nsecret_url = \"env:S\"\nauthorization = \"env:K\"";
    let error = send(settings, &secrets, &message()).unwrap_err().to_string();
    assert!(error.ends_with("no hook (secret), key (secret)"), "{error}");
}
