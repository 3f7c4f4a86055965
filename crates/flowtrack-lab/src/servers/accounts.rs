//! Real servers that ask for a user and a password: Dovecot, Samba, a Kerberos KDC, a desktop by RDP
//! and a web page with a form.
//!
//! All know `me` and `user1` to `user30`, whose password is `right`; only RDP knows `me` alone.
//! Dovecot speaks IMAP, POP3 and submission on their usual ports, with and without TLS; Samba has
//! nothing to share; the KDC is that of `LAB.TEST`, which wants a proof at once; the desktop wants
//! network level authentication; and `POST /cgi-bin/login` on port 8000 sends on who gives `user` and
//! `pass`, and shows the form again to everybody else.

use super::{inside, write};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What has to be installed.
pub const PROGRAMS: [&str; 14] = [
    "dovecot",
    "/usr/lib/dovecot/imap",
    "/usr/lib/dovecot/pop3",
    "/usr/lib/dovecot/submission",
    "smbd",
    "smbpasswd",
    "smbclient",
    "krb5kdc",
    "kadmin.local",
    "kinit",
    "freerdp-shadow-cli",
    "Xvfb",
    "busybox",
    "hydra",
];
/// The ports that they listen on.
pub const PORTS: [u16; 9] = [88, 110, 143, 445, 587, 993, 995, 3389, 8000];
/// Users beside `me`.
pub const USERS: usize = 30;

/// The servers; stopped on drop.
pub struct Accounts(Vec<Child>);

impl Accounts {
    /// Starts them, with what they need in `folder`, which everybody may read, and with the
    /// certificate that is there. They take a moment.
    pub fn start(namespace: &str, folder: &Path) -> Self {
        let mut started = Self(Vec::new());
        for words in [mail(folder), files(folder), tickets(folder), page(folder)] {
            started.0.push(inside(namespace, &words).envs(kerberos(folder)).spawn().unwrap());
        }
        started.desktop(namespace, folder);
        started
    }

    /// A screen that nobody sees, and its owner, who shows it to those whom he knows.
    fn desktop(&mut self, namespace: &str, folder: &Path) {
        // NT hash: MD4 of the password in UTF-16.
        let sam = write(folder, "sam", "me:::fff1399e403bf6c698c9f38e19a3c196:::\n");
        let screen = folder.join("screen");
        // Without `-noreset` it starts over whenever its last client leaves, and the owner, who comes
        // more than once, may find it just then.
        let words = super::words(
            "Xvfb -displayfd 1 -screen 0 640x480x24 -noreset -nolisten tcp -nolisten unix",
        );
        let output = fs::File::create(&screen).unwrap();
        self.0.push(inside(namespace, &words).stdout(output).spawn().unwrap());
        let begun = Instant::now();
        let display = loop {
            let told = fs::read_to_string(&screen).unwrap();
            if told.ends_with('\n') {
                break format!(":{}", told.trim());
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "Xvfb does not start");
            std::thread::sleep(Duration::from_millis(50));
        };
        let words = format!("freerdp-shadow-cli /port:3389 /sam-file:{sam} /sec:nla");
        let mut owner = inside(namespace, &super::words(&words));
        self.0.push(owner.env("DISPLAY", display).env("HOME", folder).spawn().unwrap());
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        for child in self.0.iter_mut().rev() {
            // Dovecot and Samba have children, which end when they are asked to.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(3) && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What tells programs of Kerberos where the KDC of this folder is.
pub fn kerberos(folder: &Path) -> [(&'static str, std::path::PathBuf); 3] {
    [
        ("KRB5_CONFIG", folder.join("krb5.conf")),
        ("KRB5_KDC_PROFILE", folder.join("kdc.conf")),
        ("KRB5CCNAME", folder.join("tickets")),
    ]
}

fn users() -> impl Iterator<Item = String> {
    std::iter::once("me".to_owned()).chain((1..=USERS).map(|i| format!("user{i}")))
}

fn mail(folder: &Path) -> Vec<String> {
    let root = folder.display();
    let mut accounts = String::new();
    for user in users() {
        writeln!(accounts, "{user}:{{PLAIN}}right").unwrap();
    }
    let accounts = write(folder, "accounts", &accounts);
    for name in ["mail", "dovecot"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    fs::set_permissions(folder.join("mail"), fs::Permissions::from_mode(0o777)).unwrap();
    let mut logins = String::new();
    for name in ["anvil", "stats", "imap-login", "pop3-login", "submission-login"] {
        writeln!(logins, "service {name} {{\n chroot =\n}}").unwrap();
    }
    // Without the penalty for an address that guessed before, so that tests may follow each other;
    // each refusal still takes two seconds.
    let settings = format!(
        "protocols = imap pop3 submission\nlisten = 0.0.0.0\nbase_dir = {root}/dovecot\n\
         state_dir = {root}/dovecot\nlog_path = {root}/dovecot.log\n\
         ssl = yes\nssl_cert = <{root}/good.crt\nssl_key = <{root}/web.key\n\
         disable_plaintext_auth = no\nauth_mechanisms = plain login\n\
         default_internal_user = nobody\ndefault_internal_group = nogroup\n\
         default_login_user = nobody\nfirst_valid_uid = 1\nmail_max_userip_connections = 100\n\
         mail_location = maildir:{root}/mail/%u\nhostname = lab.test\n\
         submission_relay_host = 127.0.0.1\nsubmission_backend_capabilities = 8BITMIME\n\
         passdb {{\n driver = passwd-file\n args = scheme=PLAIN {accounts}\n}}\n\
         userdb {{\n driver = static\n args = uid=nobody gid=nogroup home={root}/mail/%u\n}}\n\
         {logins}service anvil {{\n unix_listener anvil-auth-penalty {{\n mode = 0\n }}\n}}\n"
    );
    super::words(&format!("dovecot -F -c {}", write(folder, "dovecot.conf", &settings)))
}

fn files(folder: &Path) -> Vec<String> {
    let root = folder.join("samba");
    fs::create_dir(&root).unwrap();
    let root = root.display();
    let settings = write(
        folder,
        "smb.conf",
        &format!(
            "[global]\nsecurity = user\nmap to guest = Never\nserver role = standalone server\n\
             passdb backend = smbpasswd:{root}/passwd\nprivate dir = {root}\n\
             state directory = {root}\ncache directory = {root}\nlock directory = {root}\n\
             pid directory = {root}\nncalrpc dir = {root}/rpc\ndisable netbios = yes\n\
             smb ports = 445\nlog file = {root}/log\nload printers = no\ndisable spoolss = yes\n\
             username map = {root}/map\n"
        ),
    );
    // Samba wants its users to be users of the system too; all of ours are this one there.
    let names: Vec<String> = users().collect();
    fs::write(format!("{root}/map"), format!("nobody = {}\n", names.join(" "))).unwrap();
    type_in(&format!("smbpasswd -c {settings} -a -s nobody"), "right\nright\n", folder);
    super::words(&format!("smbd -F -s {settings} -l {root}"))
}

fn tickets(folder: &Path) -> Vec<String> {
    let root = folder.join("kdc");
    fs::create_dir(&root).unwrap();
    let root = root.display();
    write(
        folder,
        "krb5.conf",
        "[libdefaults]\ndefault_realm = LAB.TEST\ndns_lookup_kdc = false\n\
         dns_lookup_realm = false\nrdns = false\n\
         [realms]\nLAB.TEST = {\nkdc = 10.77.0.1\n}\n",
    );
    write(
        folder,
        "kdc.conf",
        &format!(
            "[realms]\nLAB.TEST = {{\ndatabase_name = {root}/principal\n\
             key_stash_file = {root}/stash\nacl_file = {root}/acl\nmax_life = 1h\n}}\n\
             [logging]\nkdc = FILE:{root}/log\n"
        ),
    );
    type_in("kdb5_util create -s -P master -r LAB.TEST", "", folder);
    let mut commands = String::new();
    for user in users() {
        writeln!(commands, "addprinc +requires_preauth -pw right {user}").unwrap();
    }
    type_in("kadmin.local -r LAB.TEST", &commands, folder);
    super::words("krb5kdc -n")
}

/// A page that knows its users, as programs that serve pages do it: a script asked by a web server.
fn page(folder: &Path) -> Vec<String> {
    let root = folder.join("page");
    fs::create_dir_all(root.join("cgi-bin")).unwrap();
    fs::write(root.join("home"), "welcome").unwrap();
    let script = "#!/bin/sh\nread -r form\ncase $form in *pass=right)\n\
                  printf 'Status: 302 Found\\r\\nLocation: /home\\r\\n\\r\\n' ;;\n*)\n\
                  printf 'Content-Type: text/html\\r\\n\\r\\n<form method=post>Wrong!\
                  <input name=user><input name=pass type=\"password\"></form>' ;; esac\n";
    let path = root.join("cgi-bin/login");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    super::words(&format!("busybox httpd -f -p 8000 -h {}", root.display()))
}

/// Runs a program that asks.
fn type_in(line: &str, answers: &str, folder: &Path) {
    let words = super::words(line);
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .env("PATH", super::PATH)
        .envs(kerberos(folder))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{line}");
}
