//! The proxies that are compared, each configured for the same work: forward to the endpoint, keep connections on both
//! sides, set `X-Forwarded-*` and a request id as fiel does by itself.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::peer::{LOAD_CORE, PROXY_CORE, Process, free_address, is_installed};
use crate::relay;
use crate::secure::Certificate;

/// Octets of `/big`.
pub(crate) const BIG: u64 = 1 << 30;

/// Who can take part, in the order of the tables.
pub(crate) const NAMES: [&str; 7] = [
    "relay", "fiel", "nginx", "haproxy", "envoy", "traefik", "caddy",
];

/// What a proxy is configured for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) logged: bool,
    /// Routes by host, the last one for all other hosts.
    pub(crate) routes: usize,
    /// Each route by host has a pool of its own.
    pub(crate) pool_each: bool,
    /// Routes of 95:5 over two pools instead of one pool.
    pub(crate) split: bool,
    /// Endpoints of the pool, all of them the one endpoint under different loopback addresses.
    pub(crate) endpoints: usize,
    /// The endpoints are probed once a second.
    pub(crate) probed: bool,
    /// There is a listener with TLS as well, for HTTP/1.1 and HTTP/2.
    pub(crate) secure: bool,
    /// The endpoint speaks HTTP/2, in the clear.
    pub(crate) http2: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            logged: false,
            routes: 1,
            pool_each: false,
            split: false,
            endpoints: 1,
            probed: false,
            secure: false,
            http2: false,
        }
    }
}

impl Settings {
    /// The pool of the route of this number; 0 is the one for all other hosts.
    fn pool(&self, route: usize) -> String {
        match route {
            route if self.pool_each && route > 0 => format!("app-{route}"),
            _ => "app".to_owned(),
        }
    }

    /// All pools, each with the numbers of its endpoints.
    fn pools(&self) -> impl Iterator<Item = (String, Range<usize>)> {
        let shared = ["app", "next"].map(|pool| (pool.to_owned(), 0..self.endpoints));
        let own = if self.pool_each { self.routes } else { 0 };
        shared
            .into_iter()
            .chain((1..own).map(|route| (self.pool(route), route..route + 1)))
    }
}

/// What all peers share.
pub(crate) struct Fleet<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) endpoint: Process,
    /// Where the endpoint speaks HTTP/2 and nothing else.
    http2: SocketAddr,
    pub(crate) certificate: Certificate,
}

impl<'a> Fleet<'a> {
    /// Starts the endpoint.
    pub(crate) fn start(folder: &'a Path) -> Result<Self> {
        let http2 = free_address()?;
        let endpoint = endpoint(folder, http2)?;
        let certificate = Certificate::make(folder)?;
        Ok(Self {
            folder,
            endpoint,
            http2,
            certificate,
        })
    }

    /// Starts a peer, unless it is not installed or does not know such work.
    pub(crate) fn peer(&self, name: &str, settings: &Settings) -> Result<Option<Process>> {
        let plain = settings.routes == 1 && settings.endpoints == 1 && !settings.split;
        let plain = plain && !settings.logged && !settings.probed;
        match name {
            "fiel" => self.fiel(settings).map(|(fiel, _)| Some(fiel)),
            "nginx" if !settings.probed && !settings.http2 => self.nginx(settings).map(Some),
            "haproxy" if is_installed("haproxy") && !settings.logged => {
                self.haproxy(settings).map(Some)
            }
            "relay" if plain && !settings.secure && !settings.http2 => self.relay().map(Some),
            "envoy" if plain && is_installed("envoy") => self.envoy(settings).map(Some),
            "traefik" if plain && is_installed("traefik") => self.traefik(settings).map(Some),
            "caddy" if plain && is_installed("caddy") => self.caddy(settings).map(Some),
            _ => Ok(None),
        }
    }

    /// fiel and its file.
    pub(crate) fn fiel(&self, settings: &Settings) -> Result<(Process, PathBuf)> {
        let mut yaml = String::new();
        let split = if settings.split {
            "{ pool: app, weight: 95 }, { pool: next, weight: 5 }"
        } else {
            "{ pool: app }"
        };
        yaml.push_str("routes:\n");
        for route in 1..settings.routes {
            let own = format!("{{ pool: {} }}", settings.pool(route));
            let split = if settings.pool_each { &own } else { split };
            writeln!(
                yaml,
                "  - {{ name: r{route}, match: {{ hosts: [host-{route}.example] }}, split: [ {split} ] }}"
            )?;
        }
        writeln!(yaml, "  - {{ name: all, split: [ {split} ] }}\npools:")?;
        for (pool, endpoints) in settings.pools() {
            writeln!(yaml, "  {pool}:\n    endpoints:")?;
            for endpoint in endpoints {
                writeln!(yaml, "      - \"{}\"", self.address(endpoint, settings))?;
            }
            if settings.http2 {
                yaml.push_str("    protocol: http2\n");
            }
            if settings.probed {
                yaml.push_str("    readinessProbe: { tcpSocket: {}, periodSeconds: 1 }\n");
            }
        }
        self.fiel_from(&format!("workers: 1\n{yaml}"), settings)
    }

    /// fiel with so many workers, on its one core.
    pub(crate) fn fiel_of_workers(&self, workers: usize) -> Result<Process> {
        let endpoint = self.endpoint.address;
        let rest = format!(
            "workers: {workers}\nroutes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
pools: {{ app: {{ endpoints: [ \"{endpoint}\" ] }} }}\n"
        );
        let plain = Settings::default();
        self.fiel_from(&rest, &plain).map(|(fiel, _)| fiel)
    }

    /// fiel with these routes and pools.
    pub(crate) fn fiel_of(&self, rest: &str) -> Result<(Process, PathBuf)> {
        self.fiel_from(&format!("workers: 1\n{rest}"), &Settings::default())
    }

    fn fiel_from(&self, rest: &str, settings: &Settings) -> Result<(Process, PathBuf)> {
        let (address, admin) = (free_address()?, free_address()?);
        let secure = settings.secure.then(free_address).transpose()?;
        let output = if settings.logged {
            format!(
                "{{ file: \"{}\" }}",
                self.folder.join("fiel-access.log").display()
            )
        } else {
            "\"off\"".to_owned()
        };
        let yaml = format!(
            "admin: {{ bind: \"{admin}\" }}\naccessLog: {{ output: {output} }}\n\
             listeners:\n  - {{ name: web, bind: \"{address}\", limits: {{ idleTimeout: 600s }} }}\n{}{rest}",
            secure.map_or_else(String::new, |secure| format!(
                "  - {{ name: secure, bind: \"{secure}\", tls: {{ certificates: [ {{ certFile: {}, keyFile: {} }} ] }} }}\n",
                self.certificate.certificate.display(),
                self.certificate.key.display(),
            )),
        );
        // A file of its own: fiel would take up another one's as a reload.
        let file = self.write(&format!("fiel-{}.yaml", address.port()), &yaml)?;
        let command = words(&[&fiel(), "run", "--config", text(&file)?]);
        let mut process = Process::start("fiel", &command, PROXY_CORE, address)?;
        process.admin = Some(admin);
        process.secure = secure;
        Ok((process, file))
    }

    pub(crate) fn nginx(&self, settings: &Settings) -> Result<Process> {
        let address = free_address()?;
        let log = if settings.logged {
            format!("access_log {}/nginx-access.log;", self.folder.display())
        } else {
            "access_log off;".to_owned()
        };
        let mut http = format!("{log} map_hash_bucket_size 128; server_names_hash_max_size 65536;");
        for (pool, endpoints) in settings.pools() {
            write!(http, " upstream {pool} {{")?;
            for endpoint in endpoints {
                write!(http, " server {};", self.address(endpoint, settings))?;
            }
            http.push_str(" keepalive 256; keepalive_requests 1000000000; }");
        }
        http.push_str(" split_clients $request_id $shared { 95% app; * next; }");
        let secure = settings.secure.then(free_address).transpose()?;
        let tls = secure.map_or_else(String::new, |secure| {
            format!(
                "listen {secure} ssl http2 backlog=4096; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {}; ssl_certificate_key {}; ",
                self.certificate.certificate.display(),
                self.certificate.key.display()
            )
        });
        for route in (1..settings.routes).chain([0]) {
            let name = match route {
                0 => format!("listen {address} backlog=4096 default_server; {tls}server_name _"),
                route => format!("listen {address}; server_name host-{route}.example"),
            };
            let pool = if settings.split {
                "$shared".to_owned()
            } else {
                settings.pool(route)
            };
            write!(
                http,
                "\nserver {{ {name}; location / {{ proxy_pass http://{pool}; proxy_http_version 1.1;
                 proxy_request_buffering off; proxy_set_header Connection \"\"; proxy_set_header Host $host;
                 proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
                 proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Request-Id $request_id; }} }}"
            )?;
        }
        let mut process = nginx(self.folder, "proxy", &http, PROXY_CORE, address)?;
        process.secure = secure;
        Ok(process)
    }

    fn haproxy(&self, settings: &Settings) -> Result<Process> {
        let address = free_address()?;
        let secure = settings.secure.then(free_address).transpose()?;
        let tls = secure.map_or_else(String::new, |secure| {
            let both = self.certificate.both.display();
            format!("  bind {secure} backlog 4096 ssl crt {both} alpn h2,http/1.1\n")
        });
        let mut lines = format!(
            "global
  nbthread 1
  tune.bufsize 16384
  maxconn 15000
  no strict-limits
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  timeout http-keep-alive 600s
  http-reuse always
  option forwardfor
frontend web
  bind {address} backlog 4096
{tls}  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Request-Id %[uuid()]
"
        );
        if settings.routes > 1 {
            let mut hosts = String::new();
            for route in 1..settings.routes {
                writeln!(hosts, "host-{route}.example {}", settings.pool(route))?;
            }
            let map = self.write(&format!("haproxy-{}.map", address.port()), &hosts)?;
            let map = map.display();
            writeln!(lines, "  use_backend %[req.hdr(host),lower,map({map},app)]")?;
        }
        if settings.split {
            lines.push_str("  use_backend next if { rand(100) lt 5 }\n");
        }
        lines.push_str("  default_backend app\n");
        let check = if settings.probed {
            " check inter 1s"
        } else {
            ""
        };
        let proto = if settings.http2 { " proto h2" } else { "" };
        for (pool, endpoints) in settings.pools() {
            writeln!(lines, "backend {pool}\n  balance roundrobin")?;
            for endpoint in endpoints {
                writeln!(
                    lines,
                    "  server s{endpoint} {}{check}{proto}",
                    self.address(endpoint, settings)
                )?;
            }
        }
        let file = self.write(&format!("haproxy-{}.cfg", address.port()), &lines)?;
        let command = words(&["haproxy", "-db", "-f", text(&file)?]);
        let mut process = Process::start("haproxy", &command, PROXY_CORE, address)?;
        process.secure = secure;
        Ok(process)
    }

    fn relay(&self) -> Result<Process> {
        let address = free_address()?;
        let this = std::env::current_exe()?;
        let (listen, endpoint) = (address.to_string(), self.endpoint.address.to_string());
        let command = words(&[text(&this)?, relay::COMMAND, &listen, &endpoint]);
        Process::start("relay", &command, PROXY_CORE, address)
    }

    /// The endpoint, under the address of this number.
    fn address(&self, number: usize, settings: &Settings) -> String {
        let port = self.spoken_to(settings).port();
        format!(
            "127.{}.{}.{}:{port}",
            number / 62_500,
            number / 250 % 250,
            1 + number % 250
        )
    }

    /// Where the endpoint speaks what its proxies are to speak.
    pub(crate) fn spoken_to(&self, settings: &Settings) -> SocketAddr {
        match settings.http2 {
            true => self.http2,
            false => self.endpoint.address,
        }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.folder.join(name);
        fs::write(&file, text)?;
        Ok(file)
    }
}

/// An nginx that answers by itself: `/` with 13 octets, `/16k`, `/big`; it reads what is uploaded and answers `/`. HTTP/2 it
/// speaks at an address of its own, in frames as large as those of other servers.
fn endpoint(folder: &Path, http2: SocketAddr) -> Result<Process> {
    let address = free_address()?;
    let big = fs::File::create(folder.join("big"))?;
    big.set_len(BIG)?;
    fs::write(folder.join("16k"), "x".repeat(16 << 10))?;
    let http = format!(
        "access_log off; client_max_body_size 0; client_body_buffer_size 128k; http2_chunk_size 16k;
         server {{ listen 0.0.0.0:{0} backlog=4096; listen 0.0.0.0:{2} http2;
           location / {{ return 200 \"hello, world\\n\"; }}
           location /16k {{ root {1}; }} location /big {{ root {1}; }} }}",
        address.port(),
        folder.display(),
        http2.port(),
    );
    nginx(folder, "endpoint", &http, LOAD_CORE, address)
}

fn nginx(
    folder: &Path,
    name: &str,
    http: &str,
    core: usize,
    address: SocketAddr,
) -> Result<Process> {
    let file = folder.join(format!("{name}-{}.conf", address.port()));
    fs::write(
        &file,
        format!(
            "user root; worker_processes 1; daemon off; pid {0}/{name}-{1}.pid; error_log /dev/null;
             events {{ worker_connections 40000; }} worker_rlimit_nofile 65536;
             http {{ keepalive_requests 1000000000; keepalive_timeout 600s; client_body_temp_path {0}/{name}-body;
               proxy_temp_path {0}/{name}-proxy; fastcgi_temp_path {0}/{name}-fastcgi; uwsgi_temp_path {0}/{name}-uwsgi;
               scgi_temp_path {0}/{name}-scgi; {http} }}",
            folder.display(),
            address.port(),
        ),
    )?;
    let command = words(&["nginx", "-c", text(&file)?]);
    Process::start("nginx", &command, core, address)
}

/// The binary that is measured: the one that was built with this bench, or `FIEL`. The former has what tests need of the
/// runtime built in, a clock that can be stopped, which users of the latter do not pay for.
pub(crate) fn fiel() -> String {
    std::env::var("FIEL").unwrap_or_else(|_| env!("CARGO_BIN_EXE_fiel").to_owned())
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a folder that is no text")
}
