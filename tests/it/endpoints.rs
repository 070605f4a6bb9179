//! Endpoints that are more than an address with a port: unix sockets, and those that are told who speaks to them.

mod announced;
mod proxy_protocol;
mod unix;

/// A listener `web`, and a route to a pool with these endpoints and these further keys.
fn pool(endpoints: &str, more: &[&str]) -> String {
    let more: String = more.iter().map(|line| format!("    {line}\n")).collect();
    format!(
        "\
admin: {{ bind: 127.0.0.1:0 }}
workers: 1
listeners:
  - name: web
    bind: 127.0.0.1:0
routes:
  - name: all
    split: [ {{ pool: app }} ]
pools:
  app:
    endpoints: [{endpoints}]
    connect: {{ timeout: 20s }}
{more}"
    )
}
