//! WebSockets from a browser, which is the client that matters: Chromium, from a page that it has got over TLS. Where it is
//! not installed that is said.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::real::large_tool;
use crate::support::tls::Authority;
use crate::support::wait::eventually;
use crate::support::websocket::{Echo, Http};
use crate::support::{Endpoint, Fiel};

/// Says a text, then octets, then good bye, and reports what has come back.
const PAGE: &str = r#"<!doctype html><title>chat</title><script>
const tell = text => fetch('/report?' + encodeURIComponent(text));
const socket = new WebSocket('wss://' + location.host + '/chat', 'chat');
let heard = '';
socket.binaryType = 'arraybuffer';
socket.onopen = () => socket.send('hello');
socket.onmessage = event => {
  if (typeof event.data === 'string') {
    heard = event.data;
    socket.send(new Uint8Array(300000).fill(7));
  } else {
    const octets = new Uint8Array(event.data);
    heard += ' ' + octets.filter(octet => octet === 7).length;
    socket.close(1000, 'done');
  }
};
socket.onclose = event => tell([socket.protocol, heard, event.code, event.wasClean].join(' '));
</script>"#;

/// A browser with nothing of its own; it and all its processes end when this is dropped.
struct Browser {
    child: Child,
    _folder: TempDir,
}

impl Browser {
    /// Opens a page of `site.example` on this port.
    fn open(program: &str, port: u16, path: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-extensions",
                "--ignore-certificate-errors",
                // Keeps it open.
                "--remote-debugging-port=0",
                "--host-resolver-rules=MAP site.example 127.0.0.1, MAP * ~NOTFOUND",
            ])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .arg(format!("https://site.example:{port}{path}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            child,
            _folder: folder,
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_browser_talks_over_tls_by_whichever_version_its_page_came() {
    let Some(chromium) = large_tool("chromium") else {
        return;
    };
    for (near, far) in super::WAYS {
        let (protocols, protocol) = match near {
            Http::One => ("[http1]", "HTTP/1.1"),
            Http::Two => ("[http1, http2]", "HTTP/2.0"),
        };
        let chat = Echo::over(far);
        let reports = Endpoint::start("reports");
        let folder = tempfile::tempdir().unwrap();
        let pair = Authority::new("authority").issue(&["site.example"]);
        let entry = pair.put(folder.path(), "site");
        let fiel = Fiel::start(&format!(
            "\
admin: {{ bind: 127.0.0.1:0 }}
workers: 1
listeners:
  - name: web
    bind: 127.0.0.1:0
    protocols: {protocols}
    tls: {{ certificates: [ {{ {entry} }} ] }}
routes:
  - name: page
    match: {{ path: {{ exact: /page }} }}
    respond: {{ body: {page} }}
    responseHeaders: {{ set: {{ content-type: text/html }} }}
  - name: chat
    match: {{ path: {{ exact: /chat }} }}
    split: [ {{ pool: chat }} ]
  - name: reports
    match: {{ path: {{ exact: /report }} }}
    split: [ {{ pool: reports }} ]
pools:
  chat:
    protocol: {spoken}
    endpoints: [{chat}]
  reports:
    endpoints: [{reports}]
",
            page = serde_json::to_string(PAGE).unwrap(),
            spoken = match far {
                Http::One => "http1",
                Http::Two => "http2",
            },
            chat = chat.address(),
            reports = reports.address(),
        ));

        let _browser = Browser::open(chromium, fiel.address("web").port(), "/page");

        let told = reports.wait_for_requests(1)[0].head.clone();
        let target = told.split(' ').nth(1).unwrap_or_default();
        let expected = "/report?chat%20hello%20300000%201000%20true";
        assert_eq!(target, expected, "{near:?} to {far:?}");
        let line = eventually("the line of the tunnel", || {
            let mut log = fiel.access_log().into_iter();
            log.find(|line| line["path"] == "/chat")
        });
        assert_eq!(line["status"], 101, "{line}");
        assert_eq!(line["protocol"], protocol, "{line}");
    }
}
