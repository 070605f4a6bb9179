//! Those that are compared where they are installed, in the plainest rows only.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::fleet::{Fleet, Settings, text, words};
use crate::peer::{PATIENCE, PROXY_CORE, Process, body, free_address};

impl Fleet<'_> {
    pub(crate) fn envoy(&self, settings: &Settings) -> Result<Process> {
        let address = free_address()?;
        let socket = |address: SocketAddr| {
            format!(
                "{{ socket_address: {{ address: {}, port_value: {} }} }}",
                address.ip(),
                address.port()
            )
        };
        let secure = settings.secure.then(free_address).transpose()?;
        let listener = |address, transport: &str| {
            format!(
                "  - address: {}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          use_remote_address: true
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
          route_config:
            virtual_hosts:
            - {{ name: all, domains: [\"*\"], routes: [ {{ match: {{ prefix: / }}, route: {{ cluster: app }} }} ] }}
{transport}",
                socket(address)
            )
        };
        let mut listeners = listener(address, "");
        if let Some(secure) = secure {
            let transport = format!(
                "      transport_socket:
        name: tls
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates: [ {{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }} ]
",
                self.certificate.certificate.display(),
                self.certificate.key.display()
            );
            listeners.push_str(&listener(secure, &transport));
        }
        let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let http2 = match settings.http2 {
            true => format!(
                "    typed_extension_protocol_options:
      {options}:
        \"@type\": type.googleapis.com/{options}
        explicit_http_config: {{ http2_protocol_options: {{}} }}
"
            ),
            false => String::new(),
        };
        let yaml = format!(
            "static_resources:
  listeners:
{listeners}  clusters:
  - name: app
    type: STATIC
    connect_timeout: 1s
{http2}    load_assignment: {{ cluster_name: app, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {} }} }} ] }} ] }}
",
            socket(self.spoken_to(settings)),
        );
        let file = self.write(&format!("envoy-{}.yaml", address.port()), &yaml)?;
        let command = words(&[
            "envoy",
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "-l",
            "error",
            "-c",
            text(&file)?,
        ]);
        let mut process = Process::start("envoy", &command, PROXY_CORE, address)?;
        process.secure = secure;
        Ok(process)
    }

    pub(crate) fn traefik(&self, settings: &Settings) -> Result<Process> {
        let address = free_address()?;
        let secure = settings.secure.then(free_address).transpose()?;
        let mut routers = "all: { rule: \"PathPrefix(`/`)\", service: app }".to_owned();
        let mut tls = String::new();
        if secure.is_some() {
            routers.push_str(", over: { rule: \"PathPrefix(`/`)\", service: app, tls: {} }");
            tls = format!(
                "tls: {{ stores: {{ default: {{ defaultCertificate: {{ certFile: {}, keyFile: {} }} }} }} }}\n",
                self.certificate.certificate.display(),
                self.certificate.key.display()
            );
        }
        let yaml = format!(
            "{tls}http:
  routers: {{ {routers} }}
  services: {{ app: {{ loadBalancer: {{ servers: [ {{ url: \"{}://{}\" }} ] }} }} }}
",
            scheme(settings),
            self.spoken_to(settings)
        );
        let file = self.write(&format!("traefik-{}.yaml", address.port()), &yaml)?;
        let mut command = words(&[
            "env",
            "GOMAXPROCS=1",
            "traefik",
            &format!("--entryPoints.web.address={address}"),
            &format!("--providers.file.filename={}", text(&file)?),
            "--log.level=ERROR",
        ]);
        if let Some(secure) = secure {
            command.push(format!("--entryPoints.secure.address={secure}"));
        }
        let mut process = Process::start("traefik", &command, PROXY_CORE, address)?;
        // It answers before it has read its file, that there is no such page.
        let began = Instant::now();
        while body(address, "/").is_err() {
            ensure!(began.elapsed() < PATIENCE, "traefik knows no route");
            std::thread::yield_now();
        }
        process.secure = secure;
        Ok(process)
    }

    pub(crate) fn caddy(&self, settings: &Settings) -> Result<Process> {
        let address = free_address()?;
        let secure = settings.secure.then(free_address).transpose()?;
        let mut sites = format!(
            "http://{address} {{\n reverse_proxy {}://{}\n}}\n",
            scheme(settings),
            self.spoken_to(settings)
        );
        if let Some(secure) = secure {
            write!(
                sites,
                "https://:{} {{\n bind {}\n tls {} {}\n reverse_proxy {}://{}\n}}\n",
                secure.port(),
                secure.ip(),
                self.certificate.certificate.display(),
                self.certificate.key.display(),
                scheme(settings),
                self.spoken_to(settings)
            )?;
        }
        let caddyfile = format!("{{\n admin off\n auto_https off\n}}\n{sites}");
        let file = self.write(&format!("Caddyfile-{}", address.port()), &caddyfile)?;
        let command = words(&[
            "env",
            "GOMAXPROCS=1",
            "caddy",
            "run",
            "--adapter",
            "caddyfile",
            "--config",
            text(&file)?,
        ]);
        let mut process = Process::start("caddy", &command, PROXY_CORE, address)?;
        process.secure = secure;
        Ok(process)
    }
}

/// What Go's proxies call the protocol of an endpoint.
fn scheme(settings: &Settings) -> &'static str {
    match settings.http2 {
        true => "h2c",
        false => "http",
    }
}
