//! Real servers in a network namespace of a test: OpenSSH, vsftpd and nginx.
//!
//! nginx serves `/`, `/big` (200 MB) and `/private/` (user `admin`, password `unguessable`) on port
//! 80 in the clear, and `/` on 443 with a certificate that only its owner vouches for, on 7443 with
//! TLS 1.0 and 1.1, on 8443 with a certificate that is over, and on 9443 with a good one. OpenSSH
//! lets in the key `user` of the folder, and also listens on the port of a database, 3306. vsftpd
//! lets in nobody.

pub mod accounts;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What has to be installed.
pub const PROGRAMS: [&str; 6] = ["sshd", "ssh-keygen", "vsftpd", "nginx", "hydra", "openssl"];

/// Where programs are, servers too.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// The servers; stopped on drop.
pub struct Servers(Vec<Child>);

impl Servers {
    /// Starts them, with what they need in `folder`, which everybody may read. They take a moment.
    pub fn start(namespace: &str, folder: &Path) -> Self {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        let _ = fs::create_dir("/run/sshd");
        let commands = [ssh(folder), ftp(folder), web(folder)];
        Self(commands.iter().map(|words| inside(namespace, words).spawn().unwrap()).collect())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // nginx and vsftpd have children, which end when they are asked to.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }
}

/// A program in a namespace that says nothing.
pub fn inside(namespace: &str, words: &[String]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).args(words);
    command.env("PATH", PATH);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Hydra with two hundred passwords, one of which might be right elsewhere.
pub fn guess(folder: &Path, service: &str, server: &str) -> Vec<String> {
    // OpenSSH turns more away at once than it takes; PAM lets each guess wait.
    let tasks = if service == "ssh" { "4" } else { "16" };
    let list: Vec<String> = (0..200).map(|i| format!("guess{i}")).collect();
    let list = write(folder, "words", &list.join("\n"));
    words(&format!("hydra -I -t {tasks} -l nobody -P {list} {server} {service}"))
}

/// A command line without quotes.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn run(line: &str) {
    let line = words(line);
    let done = Command::new(&line[0]).args(&line[1..]).output().unwrap();
    assert!(done.status.success(), "{line:?}: {done:?}");
}

fn ssh(folder: &Path) -> Vec<String> {
    let folder_name = folder.display();
    for key in ["host", "user"] {
        let path = folder.join(key).display().to_string();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", &path])
            .status();
        assert!(made.unwrap().success());
    }
    fs::copy(folder.join("user.pub"), folder.join("authorized")).unwrap();
    let settings = format!(
        "Port 22\nPort 3306\nHostKey {folder_name}/host\nAuthorizedKeysFile \
         {folder_name}/authorized\nPidFile none\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication yes\nPermitRootLogin yes\nMaxStartups 100\n"
    );
    let path = write(folder, "sshd_config", &(settings.clone() + "PerSourcePenalties no\n"));
    // Older ones do not know penalties.
    let known = Command::new("/usr/sbin/sshd").args(["-t", "-f", &path]).output();
    if !known.is_ok_and(|known| known.status.success()) {
        write(folder, "sshd_config", &settings);
    }
    words(&format!("/usr/sbin/sshd -D -f {path}"))
}

fn ftp(folder: &Path) -> Vec<String> {
    let empty = folder.join("empty");
    fs::create_dir(&empty).unwrap();
    let settings = format!(
        "listen=YES\nlocal_enable=YES\nanonymous_enable=NO\nsecure_chroot_dir={}\nbackground=NO\n\
         seccomp_sandbox=NO\ndelay_failed_login=0\n",
        empty.display()
    );
    words(&format!("vsftpd {}", write(folder, "vsftpd.conf", &settings)))
}

fn web(folder: &Path) -> Vec<String> {
    let root = folder.display();
    // An authority that vouches for itself, and what it vouches for; one was over before it began.
    run(&format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
         -subj /CN=test -keyout {root}/web.key -out {root}/own.crt -days 90"
    ));
    for (name, days) in [("good", "30"), ("over", "-1")] {
        let path = format!("{root}/{name}");
        run(&format!("openssl req -new -key {root}/web.key -subj /CN={name} -out {path}.csr"));
        run(&format!(
            "openssl x509 -req -in {path}.csr -CA {root}/own.crt -CAkey {root}/web.key \
             -CAcreateserial -days {days} -out {path}.crt"
        ));
    }
    write(folder, "users", "admin:{PLAIN}unguessable\n");
    fs::create_dir(folder.join("web")).unwrap();
    write(folder, "web/big", "");
    let big = fs::File::options().write(true).open(folder.join("web/big")).unwrap();
    big.set_len(200_000_000).unwrap();
    let encrypted = |port: u16, certificate: &str, more: &str| {
        format!(
            "server {{ listen {port} ssl; ssl_certificate {root}/{certificate}.crt; {more}\n\
             location / {{ return 200 hello; }} }}\n"
        )
    };
    let servers = [
        encrypted(443, "own", ""),
        encrypted(7443, "good", "ssl_protocols TLSv1 TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;"),
        encrypted(8443, "over", ""),
        encrypted(9443, "good", ""),
    ]
    .concat();
    let settings = format!(
        "daemon off; pid {root}/nginx.pid; error_log {root}/error.log; events {{}}\n\
         http {{ access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/p;\n\
         fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
         ssl_protocols TLSv1.2; ssl_certificate_key {root}/web.key; client_max_body_size 1g;\n\
         {servers} server {{ listen 80; root {root}/web; location / {{ return 200 hello; }}\n\
         location = /big {{ }} location /missing/ {{ return 404; }}\n\
         location /private/ {{ auth_basic x; auth_basic_user_file {root}/users; }} }} }}\n"
    );
    words(&format!("nginx -c {}", write(folder, "nginx.conf", &settings)))
}
