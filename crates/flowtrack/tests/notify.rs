//! Telling people, by the program as it is run: what waits outlives kill -9, and secrets stay so.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/office.pcap.zst");
const SECRET: &str = "tok3nThatNobodyMaySee";

/// A data folder with a channel to `http://127.0.0.1:PORT`, whose address and key are secret.
fn folder(port: u16) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(".env", &format!("URL=http://127.0.0.1:{port}/{SECRET}/\nKEY={SECRET}-key\n"));
    write(
        "flowtrack.toml",
        "[detect]\nenabled = false\n\
         [rules]\nbuiltin = false\n\
         [web]\nlisten = \"127.0.0.1:0\"\napi_token = \"token-of-the-api-0123\"\n\
         [[notify.channels]]\nname = \"hook\"\ntype = \"webhook\"\nsecret_url = \"env:URL\"\n\
         signing_key = \"env:KEY\"\n",
    );
    write(
        "any.rules",
        "alert dns any any -> any any (msg:\"a name\"; dns.query; content:\".\"; priority:1; sid:1;)\n",
    );
    folder
}

fn flowtrack(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowtrack"));
    command.arg("--data-dir").arg(folder).args(arguments).env_remove("FLOWTRACK_LOG");
    command
}

fn output(folder: &Path, arguments: &[&str]) -> Output {
    flowtrack(folder, arguments).output().unwrap()
}

/// A run that ends with its owner.
struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn start(folder: &Path, more: &[&str]) -> Self {
        let rules = folder.join("any.rules").display().to_string();
        let mut arguments = vec!["run", "-r", DEMO, "--pace", "max", "-S", &rules, "-vv"];
        arguments.extend(more);
        let log =
            std::fs::File::options().create(true).append(true).open(folder.join("stderr")).unwrap();
        let mut child =
            flowtrack(folder, &arguments).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .find_map(|line| Some(line.ok()?.strip_prefix("dashboard")?.trim().to_owned()))
            .expect("the program says where its dashboard is");
        // What it prints later is read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    /// An answer of the API.
    fn api(&self, method: &str, path: &str) -> String {
        let host = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(host).unwrap();
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\
             authorization: Bearer token-of-the-api-0123\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Running {
    /// As `kill -9`.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "no {what} within a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Takes what is posted and answers 200.
fn receive(listener: TcpListener) -> Arc<Mutex<Vec<serde_json::Value>>> {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&bodies);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&stream);
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
                line.clear();
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_ok()
                && let Ok(body) = serde_json::from_slice(&body)
            {
                taken.lock().unwrap().push(body);
                let _ = (&stream).write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
            }
        }
    });
    bodies
}

#[test]
fn alerts_outlive_kill_9_and_arrive_once() {
    let port = flowtrack_lab::free_port();
    let folder = folder(port);
    let folder = folder.path();
    let running = Running::start(folder, &["--notify"]);
    let waiting = wait_for("failed attempt", || {
        let answer = running.api("GET", "/channels");
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let body: serde_json::Value = serde_json::from_str(body).ok()?;
        let waiting = body[0]["waiting"].as_u64()?;
        (body[0]["state"] == "retrying" && waiting > 0).then_some(waiting)
    });
    let health = running.api("GET", "/health");
    assert!(health.contains("\"notifications\"") && health.contains("failed"), "{health}");
    drop(running);
    let queue = std::fs::read_to_string(folder.join("notify/queue.jsonl")).unwrap();
    assert!(queue.lines().count() as u64 >= waiting);
    // The second run tells nobody of what it replays itself, only of what waits.
    let bodies = receive(TcpListener::bind(("127.0.0.1", port)).unwrap());
    let running = Running::start(folder, &[]);
    wait_for("delivery", || {
        let answer = running.api("GET", "/channels");
        (answer.contains("\"waiting\":0") && !bodies.lock().unwrap().is_empty()).then_some(())
    });
    let tested = running.api("POST", "/channels/hook/test");
    assert!(tested.contains("\"delivered\":true"), "{tested}");
    assert!(running.api("POST", "/channels/nobody/test").starts_with("HTTP/1.1 404"));
    let list = running.api("GET", "/channels");
    assert!(list.contains("the address in env:URL") && !list.contains(SECRET), "{list}");
    drop(running);
    drop(Running::start(folder, &[]));
    let bodies = bodies.lock().unwrap();
    let (tests, alerts): (Vec<_>, Vec<_>) = bodies.iter().partition(|body| body["type"] == "test");
    assert_eq!(tests.len(), 1);
    let told: Vec<&serde_json::Value> =
        alerts.iter().flat_map(|body| body["alerts"].as_array().unwrap()).collect();
    let keys: BTreeSet<&str> = told.iter().map(|alert| alert["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), told.len(), "none is told twice");
    assert!(told.iter().all(|alert| alert["title"] == "a name"));
    for file in ["stderr", "notify/queue.jsonl"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(!text.contains(SECRET), "the secret stands in {file}");
    }
}

#[test]
fn blocks_are_told_whatever_is_captured() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = folder(listener.local_addr().unwrap().port());
    let folder = folder.path();
    let config = folder.join("flowtrack.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let more = "[[notify.routes]]\nchannels = [\"hook\"]\ncategories = [\"blocking\"]\n\
                min_severity = \"medium\"\n[respond]\nfirewall = \"dry_run\"\n";
    std::fs::write(&config, text + more).unwrap();
    let bodies = receive(listener);
    let running = Running::start(folder, &[]);
    let told = || -> Vec<serde_json::Value> {
        let bodies = bodies.lock().unwrap();
        bodies.iter().flat_map(|body| body["alerts"].as_array().unwrap().clone()).collect()
    };
    let blocked =
        output(folder, &["block", "203.0.113.9", "--for", "1h", "--why", "a test", "--no-confirm"]);
    assert!(blocked.status.success(), "{blocked:?}");
    wait_for("word of the block", || (told().len() == 1).then_some(()));
    assert!(output(folder, &["unblock", "203.0.113.9"]).status.success());
    wait_for("word of its end", || (told().len() == 2).then_some(()));
    drop(running);
    let (made, ended) = (&told()[0], &told()[1]);
    assert_eq!(made["title"], "203.0.113.9 is blocked for 1 h");
    assert_eq!((&made["detector"], &made["severity"]), (&"block_added".into(), &"medium".into()));
    assert_eq!(ended["title"], "203.0.113.9 is no longer blocked");
    assert!(ended["explanation"].as_str().unwrap().starts_with("admin unblocked it"), "{ended}");
}

#[test]
fn commands_test_and_list_channels_and_never_say_secrets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = folder(listener.local_addr().unwrap().port());
    let folder = folder.path();
    let bodies = receive(listener);
    let tested = output(folder, &["notify", "test", "hook"]);
    assert_eq!(String::from_utf8_lossy(&tested.stdout), "hook  delivered\n");
    assert_eq!(bodies.lock().unwrap()[0]["type"], "test");
    let wrong = output(folder, &["notify", "test", "hok"]);
    assert_eq!(wrong.status.code(), Some(2));
    let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(told.contains("there is no channel `hok`; did you mean `hook`?"), "{told}");
    for arguments in [
        &["notify", "list"][..],
        &["notify", "list", "--json"],
        &["config", "show"],
        &["config", "check", "-vvv"],
    ] {
        let output = output(folder, arguments);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains(SECRET), "{arguments:?} says a secret: {said}");
    }
    let failed = {
        std::fs::write(folder.join(".env"), format!("URL=http://127.0.0.1:1/{SECRET}/\nKEY=k\n"))
            .unwrap();
        output(folder, &["notify", "test", "all"])
    };
    assert_eq!(failed.status.code(), Some(3));
    let said = String::from_utf8_lossy(&failed.stdout).into_owned();
    assert!(said.starts_with("hook  FAILED: ") && !said.contains(SECRET), "{said}");
}

#[test]
fn mistakes_in_channels_are_told_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowtrack.toml");
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let output = output(folder.path(), &["config", "check"]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).replace(&path.display().to_string(), "f.toml")
    };
    assert_eq!(
        check("[[notify.channels]]\nname = \"ops\"\ntype = \"slck\"\nurl = \"env:A\"\n"),
        "flowtrack: f.toml:1:1: channel `ops`: there is no type `slck`; did you mean `slack`? \
         (there are email, sms, webhook, slack, discord, teams, telegram, syslog, desktop)\n"
    );
    let told = check(&format!(
        "\n[[notify.channels]]\nname = \"ops\"\ntype = \"slack\"\nurl = \"https://x/{SECRET}\"\n"
    ));
    assert!(
        told.starts_with("flowtrack: f.toml:2:1: channel `ops`: url: want the place"),
        "{told}"
    );
    assert!(!told.contains(SECRET), "{told}");
    let told = check("[notify]\nrepeat_minute = 5\n");
    assert!(told.contains("f.toml:2:1: ") && told.contains("`notify.repeat_minutes`"), "{told}");
}
