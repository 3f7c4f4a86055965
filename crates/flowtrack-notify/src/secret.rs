//! Passwords and tokens: the configuration names where each is kept, never what it is.

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Where a password or token is kept: `env:NAME` or `file:/path`.
///
/// What stands in the configuration is this place alone, so it may be shown, logged and compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Secret {
    /// A variable of the environment, else of a `.env` file.
    Env(String),
    /// The first line of a file.
    File(PathBuf),
}

impl Secret {
    /// Reads `env:NAME` or `file:/path`; the complaint does not repeat the text, which may be the
    /// secret itself.
    fn parse(text: &str) -> Result<Self, &'static str> {
        const WANT: &str = "want the place of a secret, `env:NAME` or `file:/path`, instead of the \
                            secret itself";
        match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Ok(Self::Env(name.to_owned())),
            Some(("env", _)) => Err("want the name of a variable after `env:`: letters, digits \
                                     and `_`, not the secret itself"),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(PathBuf::from(path))),
            Some(("file", _)) => Err("want a path from the root after `file:`, such as \
                                      `file:/etc/flowtrack/token`"),
            _ => Err(WANT),
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        // The usual complaint about a wrong type repeats the value.
        let text = match serde_json::Value::deserialize(d)? {
            serde_json::Value::String(text) => text,
            _ => String::new(),
        };
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Finds the secrets of one message, and keeps them out of what is said about it.
pub struct Vault<'a> {
    keeper: &'a Keeper,
    shown: Mutex<Vec<String>>,
}

impl Vault<'_> {
    /// The secret itself.
    pub fn open(&self, secret: &Secret) -> Result<String, String> {
        let value = self.keeper.find(secret)?;
        self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(value.clone());
        Ok(value)
    }

    /// `text` with each secret that was opened blotted out.
    pub fn blot(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            // What is secret of a webhook's address is its path; a server may say it back alone.
            let parts = value.split(['/', '?', '=', '&']).filter(|part| part.len() >= 6);
            for hidden in std::iter::once(value.as_str()).chain(parts) {
                if !hidden.is_empty() && !is_plain(hidden) {
                    text = text.replace(hidden, "(secret)");
                }
            }
        }
        text
    }
}

/// Parts of addresses that everybody knows, and that explain an error.
fn is_plain(part: &str) -> bool {
    part.contains('.') && !part.contains("://")
        || matches!(part, "services" | "webhooks" | "https:" | "workflows" | "triggers" | "manual")
}

/// Where secrets are looked for.
#[derive(Clone, Default, Debug)]
pub struct Keeper {
    /// `.env` files, the first that has a variable counts.
    env_files: Vec<PathBuf>,
}

impl Keeper {
    /// Looks for variables in the environment, then in `.env` of these folders.
    pub fn new<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Self {
        Self { env_files: folders.into_iter().map(|folder| folder.join(".env")).collect() }
    }

    /// Finds the secrets of one message.
    pub fn vault(&self) -> Vault<'_> {
        Vault { keeper: self, shown: Mutex::default() }
    }

    /// Whether the secret can be read; says what is missing, and never what it is.
    pub fn check(&self, secret: &Secret) -> Result<(), String> {
        self.find(secret).map(drop)
    }

    /// Files with secrets that everybody on this machine may read.
    pub fn exposed<'a>(&self, secrets: impl IntoIterator<Item = &'a Secret>) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = Vec::new();
        for secret in secrets {
            match secret {
                Secret::File(path) => files.push(path.clone()),
                Secret::Env(name) if std::env::var_os(name).is_none() => {
                    files.extend(self.env_files.iter().cloned());
                }
                Secret::Env(_) => {}
            }
        }
        files.sort();
        files.dedup();
        files.retain(|path| is_world_readable(path));
        files
    }

    fn find(&self, secret: &Secret) -> Result<String, String> {
        match secret {
            Secret::Env(name) => self.variable(name),
            Secret::File(path) => {
                let text = read_small(path)
                    .map_err(|e| format!("cannot read the secret in {}: {e}", path.display()))?;
                let line = text.lines().next().unwrap_or_default().trim();
                if line.is_empty() {
                    return Err(format!("the secret in {} is empty", path.display()));
                }
                Ok(line.to_owned())
            }
        }
    }

    fn variable(&self, name: &str) -> Result<String, String> {
        if let Ok(value) = std::env::var(name)
            && !value.is_empty()
        {
            return Ok(value);
        }
        for path in &self.env_files {
            match read_small(path) {
                Ok(text) => {
                    if let Some(value) = parse_env(&text).remove(name).filter(|v| !v.is_empty()) {
                        return Ok(value);
                    }
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(format!("cannot read {}: {e}", path.display())),
            }
        }
        let files: Vec<String> =
            self.env_files.iter().map(|path| path.display().to_string()).collect();
        let files =
            if files.is_empty() { String::new() } else { format!(" or {}", files.join(", ")) };
        Err(format!("{name} is not set; set it in the environment{files}"))
    }
}

/// Longest file with secrets that is read.
const MAX_FILE: u64 = 64 * 1024;

fn read_small(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(unix)]
fn is_world_readable(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_world_readable(_path: &Path) -> bool {
    false
}

/// The variables of a `.env` file: `NAME=value`, `export NAME="value"`, comments after `#`.
fn parse_env(text: &str) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { continue };
        let (name, value) = (name.trim(), value.trim());
        if !is_variable(name) {
            continue;
        }
        let quoted = ['"', '\'']
            .into_iter()
            .find_map(|quote| value.strip_prefix(quote)?.split_once(quote).map(|(inner, _)| inner));
        // Unquoted, a comment begins where a `#` follows a blank.
        let plain = || value.split(" #").next().unwrap_or_default().trim_end();
        variables.insert(name.to_owned(), quoted.unwrap_or_else(plain).to_owned());
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_place_and_complaints_never_repeat_it() {
        let read = |text: &str| serde_json::from_str::<Secret>(text).map_err(|e| e.to_string());
        assert_eq!(read(r#""env:SLACK_URL""#), Ok(Secret::Env("SLACK_URL".into())));
        assert_eq!(read(r#""file:/etc/token""#), Ok(Secret::File("/etc/token".into())));
        for wrong in [r#""hunter2""#, "123454321", r#""env:hunter2-x""#, r#""file:hunter2""#, "[]"]
        {
            let complaint = read(wrong).unwrap_err();
            assert!(complaint.contains("want"), "{complaint}");
            assert!(!complaint.contains("hunter2") && !complaint.contains("12345"), "{complaint}");
        }
        assert_eq!(serde_json::to_string(&read(r#""env:A""#).unwrap()).unwrap(), r#""env:A""#);
    }

    #[test]
    fn variables_come_from_the_environment_then_from_env_files() {
        let folder = tempfile::tempdir().unwrap();
        let text = "# comment\nexport FT_ONE=\"a # b\"\nFT_TWO = plain # comment\nFT_THREE='x'\n";
        std::fs::write(folder.path().join(".env"), text).unwrap();
        let keeper = Keeper::new([folder.path()]);
        let find = |name: &str| keeper.find(&Secret::Env(name.into()));
        assert_eq!(find("FT_ONE"), Ok("a # b".into()));
        assert_eq!(find("FT_TWO"), Ok("plain".into()));
        assert_eq!(find("FT_THREE"), Ok("x".into()));
        assert!(find("FT_FOUR").unwrap_err().contains("FT_FOUR is not set"));
        // PATH is in every environment, and goes before the file.
        std::fs::write(folder.path().join(".env"), "PATH=mine\n").unwrap();
        assert_ne!(find("PATH"), Ok("mine".into()));
    }

    #[cfg(unix)]
    #[test]
    fn files_that_everybody_may_read_are_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "abc\n").unwrap();
        let secret = Secret::File(path.clone());
        let keeper = Keeper::default();
        let allow = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        allow(0o644);
        assert_eq!(keeper.exposed([&secret]), std::slice::from_ref(&path));
        allow(0o640);
        assert!(keeper.exposed([&secret]).is_empty());
        assert_eq!(keeper.find(&secret), Ok("abc".into()));
    }

    #[test]
    fn opened_secrets_are_blotted_out() {
        let folder = tempfile::tempdir().unwrap();
        let url = "https://hooks.example.org/services/T000/B000SECRET/abcdefTOKEN";
        std::fs::write(folder.path().join(".env"), format!("FT_URL={url}\n")).unwrap();
        let keeper = Keeper::new([folder.path()]);
        let vault = keeper.vault();
        vault.open(&Secret::Env("FT_URL".into())).unwrap();
        let text = vault.blot(&format!("POST {url}: no such hook abcdefTOKEN, try B000SECRET"));
        assert_eq!(text, "POST (secret): no such hook (secret), try (secret)");
    }
}
