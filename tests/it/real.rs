//! fiel between tools that were not written for it: curl and wrk as clients, nginx as an endpoint, promtool as a reader
//! of metrics. What they say to TLS and HTTP/2 of clients lies with the tests of these.
//!
//! A tool that is not installed is said to be missing and its test passes; with `FIEL_REAL_TOOLS` set, as in CI, it fails.
//! A browser is never demanded.

mod endpoints;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use super::support::{Fiel, wait, yaml};

#[test]
fn curl_gets_posts_and_uploads_through_fiel_to_nginx() {
    let (Some(curl), Some(nginx)) = (tool("curl"), tool("nginx")) else {
        return;
    };
    let nginx = Nginx::start(nginx);
    let fiel = Fiel::start(&yaml::shop(&[("app", "1", &[nginx.address])]));
    let at = |path: &str| format!("http://{}{path}", fiel.address("web"));
    let ask = |args: &[&str]| {
        let answer = run(Command::new(curl)
            .args(["-sS", "--max-time", "30"])
            .args(args));
        assert!(answer.status.success(), "curl {args:?}: {answer:?}");
        String::from_utf8(answer.stdout).unwrap()
    };

    assert_eq!(ask(&[&at("/hello")]), "GET HTTP/1.1\n");
    assert_eq!(ask(&["--http1.0", &at("/hello")]), "GET HTTP/1.1\n");
    assert_eq!(ask(&["--data", "a=1", &at("/hello")]), "POST HTTP/1.1\n");

    let head = ask(&["--head", &at("/hello")]);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_lowercase().contains("\r\nvia: 1.1 fiel"), "{head}");

    // 1 MiB there and back, once with its length and once in chunks.
    let sent: Vec<u8> = (0..1_usize << 20)
        .map(|place| (place * 31).to_le_bytes()[1])
        .collect();
    let file = nginx.folder.path().join("sent");
    fs::write(&file, &sent).unwrap();
    let file = file.to_str().unwrap();
    for (name, framing) in [("length", ""), ("chunks", "Transfer-Encoding: chunked")] {
        let target = at(&format!("/files/{name}"));
        let code = ask(&[
            "-T",
            file,
            "-H",
            framing,
            "-w",
            "%{http_code}",
            "-o",
            "/dev/null",
            &target,
        ]);
        assert_eq!(code, "201", "{name}");
        let back = nginx.folder.path().join("back");
        ask(&["-o", back.to_str().unwrap(), &target]);
        assert!(
            fs::read(&back).unwrap() == sent,
            "{name}: other octets came back"
        );
    }
}

#[test]
fn wrk_meets_neither_an_error_nor_another_status_than_200() {
    let (Some(wrk), Some(nginx)) = (tool("wrk"), tool("nginx")) else {
        return;
    };
    let nginx = Nginx::start(nginx);
    let fiel = Fiel::start(&yaml::shop(&[("app", "1", &[nginx.address])]));

    let target = format!("http://{}/hello", fiel.address("web"));
    let answer = run(Command::new(wrk).args(["-t1", "-c64", "-d2s", &target]));

    let told = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert!(answer.status.success(), "{answer:?}");
    assert!(told.contains("requests in"), "{told}");
    // wrk prints these lines only where there is something to tell.
    assert!(!told.contains("Non-2xx"), "{told}");
    assert!(!told.contains("Socket errors"), "{told}");
}

#[test]
fn promtool_finds_nothing_to_say_about_the_metrics() {
    let (Some(promtool), Some(curl)) = (tool("promtool"), tool("curl")) else {
        return;
    };
    let fiel = Fiel::start(&yaml::shop(&[(
        "app",
        "1",
        &[SocketAddr::from((Ipv4Addr::LOCALHOST, 9))],
    )]));
    // One request that fails, so that there is something to count.
    drop(run(
        Command::new(curl).args(["-sS", &format!("http://{}/", fiel.address("web"))])
    ));

    let metrics =
        run(Command::new(curl).args(["-sSf", &format!("http://{}/metrics", fiel.admin())]));
    assert!(metrics.status.success(), "{metrics:?}");
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check
        .stdin
        .take()
        .unwrap()
        .write_all(&metrics.stdout)
        .unwrap();
    let verdict = check.wait_with_output().unwrap();

    let text = String::from_utf8_lossy(&metrics.stdout);
    assert!(text.contains("fiel_requests_total{"), "{text}");
    assert!(verdict.status.success(), "{verdict:?}\n{text}");
}

/// The name of a tool that is installed.
pub(crate) fn tool(name: &'static str) -> Option<&'static str> {
    demanded(name, is_installed(name)).then_some(name)
}

/// The name of a tool that is too large to be demanded, if it is installed.
pub(crate) fn large_tool(name: &'static str) -> Option<&'static str> {
    let found = is_installed(name).then_some(name);
    if found.is_none() {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Whether something is installed, where it need not be.
pub(crate) fn demanded(what: &str, is_installed: bool) -> bool {
    if !is_installed {
        let demanded = std::env::var_os("FIEL_REAL_TOOLS").is_some_and(|value| !value.is_empty());
        assert!(
            !demanded,
            "{what} is not installed, and FIEL_REAL_TOOLS demands it"
        );
        eprintln!("skipped: {what} is not installed");
    }
    is_installed
}

pub(crate) fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("could not run {command:?}: {error}"))
}

/// nginx on a port of loopback, all its files in a folder that goes with it.
struct Nginx {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Nginx {
    /// It answers `/hello` by itself and `/files` from its folder.
    fn start(program: &str) -> Self {
        Self::serving(program, |folder, address| {
            let folder = folder.display();
            format!(
                "listen {address};
    location /hello {{ default_type text/plain; return 200 \"$request_method $server_protocol\\n\"; }}
    location /files {{ root {folder}; dav_methods PUT; }}"
            )
        })
    }

    /// One that is told by the inside of its `server` what to do with its folder and its address.
    fn serving(program: &str, server: impl Fn(&Path, SocketAddr) -> String) -> Self {
        // nginx takes no port 0: another process may be quicker with the free one that was found.
        (0..5)
            .find_map(|_| Self::try_start(program, &server))
            .expect("nginx got no port in five tries")
    }

    fn try_start(program: &str, server: impl Fn(&Path, SocketAddr) -> String) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let file = folder.path().join("nginx.conf");
        let server = server(folder.path(), address);
        fs::write(&file, nginx_conf(folder.path(), &server)).unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        let mut child = Command::new(program)
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .args(["-e", "error.log"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let came_up = wait::eventually("nginx to listen or to end", || {
            if child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            TcpStream::connect(address).is_ok().then_some(true)
        });
        came_up.then_some(Self {
            child,
            address,
            folder,
        })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself; what it held is in its folder.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// One process that stays in front.
fn nginx_conf(folder: &Path, server: &str) -> String {
    let folder = folder.display();
    format!(
        "\
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  keepalive_requests 1000000;
  server {{
    {server}
  }}
}}
"
    )
}
