//! Which path means what: one table for what is answered, for what a 404 names, and for the page that lists them.

use http::{Method, StatusCode};

use crate::admin::auth::Scope;
use crate::admin::reply::{self, Reply};
use crate::change::{DrainOrder, EndpointKey};
use crate::location::Location;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// To be shown something.
    Page(Page),
    /// To load the configuration again.
    Reload,
    /// To have clients go elsewhere.
    Leave,
    /// To drain an endpoint, or to end that.
    Drain(EndpointKey, DrainOrder),
}

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Index,
    Livez,
    Readyz,
    Metrics,
    Status,
    Config,
}

/// A path that shows something.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) path: &'static str,
    pub(crate) page: Page,
    pub(crate) audience: Audience,
    pub(crate) what: &'static str,
}

/// Who may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Whoever reaches one of the two addresses.
    Anyone,
    /// Those who may see everything.
    Operators,
}

/// Everything that is shown.
pub(crate) const SHOWN: &[Shown] = &[
    Shown {
        path: "/",
        page: Page::Index,
        audience: Audience::Operators,
        what: "this page",
    },
    Shown {
        path: "/livez",
        page: Page::Livez,
        audience: Audience::Anyone,
        what: "200 while every worker turns its loop",
    },
    Shown {
        path: "/readyz",
        page: Page::Readyz,
        audience: Audience::Anyone,
        what: "200 while new connections are welcome, else why they are not",
    },
    Shown {
        path: "/metrics",
        page: Page::Metrics,
        audience: Audience::Anyone,
        what: "all counts, as Prometheus reads them",
    },
    Shown {
        path: "/status",
        page: Page::Status,
        audience: Audience::Operators,
        what: "listeners, the exact state of every split, every endpoint and its last probes, as JSON",
    },
    Shown {
        path: "/config",
        page: Page::Config,
        audience: Audience::Operators,
        what: "the configuration in force with its defaults, without secrets, as JSON",
    },
];

/// The paths that take orders, and what each does.
pub(crate) const ORDERS: &[(&str, &str)] = &[
    (
        "/reload",
        "loads the configuration again; answers when every worker reads the new one",
    ),
    (
        "/drain",
        "fails /readyz and asks clients to close, while connections are still accepted; SIGTERM ends it",
    ),
    (
        "/pools/{pool}/endpoints/{address}/drain",
        "gives that endpoint no new requests",
    ),
    (
        "/pools/{pool}/endpoints/{address}/undrain",
        "gives it requests again",
    ),
];

const READS: &str = "GET, HEAD";
const WRITES: &str = "POST";

/// What a request asks for, at an address of this scope.
pub(crate) fn ask(scope: Scope, method: &Method, path: &str) -> Result<Ask, Unfit> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if let Some(shown) = SHOWN.iter().find(|shown| shown.path == path) {
        return match (scope, shown.audience, reads) {
            (Scope::Full(_), _, true) | (Scope::ReadOnly, Audience::Anyone, true) => {
                Ok(Ask::Page(shown.page))
            }
            (Scope::Full(_), _, false) => Err(Unfit::Method(READS)),
            (Scope::ReadOnly, _, _) => Err(Unfit::Unknown(scope)),
        };
    }
    if is_below(path, "/autoscale") {
        return Err(Unfit::NotInThisVersion);
    }
    if scope == Scope::ReadOnly {
        return Err(Unfit::Unknown(scope));
    }
    if is_below(path, "/rollouts") {
        return Err(Unfit::NotInThisVersion);
    }
    let order = match path {
        "/reload" => Ok(Ask::Reload),
        "/drain" => Ok(Ask::Leave),
        _ => drain(path).ok_or(Unfit::Unknown(scope))?,
    };
    if *method == Method::POST {
        order
    } else {
        Err(Unfit::Method(WRITES))
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An order to drain, if this is the path of one.
fn drain(path: &str) -> Option<Result<Ask, Unfit>> {
    let (pool, rest) = path.strip_prefix("/pools/")?.split_once("/endpoints/")?;
    let (address, order) = rest.rsplit_once('/')?;
    let order = match order {
        "drain" => DrainOrder::Begin,
        "undrain" => DrainOrder::End,
        _ => return None,
    };
    let key = decoded(pool).zip(decoded(address)).and_then(|names| {
        let address: Location = names.1.parse().ok()?;
        let pool = names.0.into();
        Some(EndpointKey { pool, address })
    });
    Some(key.map_or(Err(Unfit::Address), |key| Ok(Ask::Drain(key, order))))
}

/// A segment of a path without its percent-encoding (RFC 3986 §2.1); `None` where that is broken, or hides text that
/// is no UTF-8.
fn decoded(segment: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let octet = digit()? * 16 + digit()?;
        octets.push(u8::try_from(octet).ok()?);
    }
    String::from_utf8(octets).ok()
}

/// Why a request asks for nothing that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// There is no such path.
    Unknown(Scope),
    /// There will be.
    NotInThisVersion,
    /// The path takes these methods only.
    Method(&'static str),
    /// What stands for an endpoint is no address.
    Address,
}

impl Unfit {
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Unknown(scope) => reply::text(StatusCode::NOT_FOUND, known(scope)),
            Self::NotInThisVersion => reply::text(StatusCode::NOT_FOUND, "not in this version"),
            Self::Method(allowed) => reply::wrong_method(allowed),
            Self::Address => reply::text(
                StatusCode::NOT_FOUND,
                "an endpoint is named by its address and port, as in 10.0.0.1:8080, [2001:db8::1]:8080 or unix:/run/app.sock",
            ),
        }
    }
}

fn known(scope: Scope) -> String {
    let mut known = String::from("no such path; there are:\n");
    for shown in SHOWN {
        if matches!(scope, Scope::Full(_)) || shown.audience == Audience::Anyone {
            known.extend(["  GET  ", shown.path, "\n"]);
        }
    }
    if matches!(scope, Scope::Full(_)) {
        for (path, _) in ORDERS {
            known.extend(["  POST ", path, "\n"]);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::auth::Reach;

    const FULL: Scope = Scope::Full(Reach::Loopback);

    fn drain_of(pool: &str, address: &str, order: DrainOrder) -> Result<Ask, Unfit> {
        let pool = pool.into();
        let address = address.parse().unwrap();
        Ok(Ask::Drain(EndpointKey { pool, address }, order))
    }

    #[test]
    fn a_path_means_what_the_table_says() {
        use DrainOrder::{Begin, End};
        let unknown = || Err(Unfit::Unknown(FULL));
        let cases = [
            ("GET", "/", Ok(Ask::Page(Page::Index))),
            ("GET", "/livez", Ok(Ask::Page(Page::Livez))),
            ("HEAD", "/readyz", Ok(Ask::Page(Page::Readyz))),
            ("GET", "/metrics", Ok(Ask::Page(Page::Metrics))),
            ("GET", "/status", Ok(Ask::Page(Page::Status))),
            ("GET", "/config", Ok(Ask::Page(Page::Config))),
            ("POST", "/status", Err(Unfit::Method("GET, HEAD"))),
            ("OPTIONS", "/", Err(Unfit::Method("GET, HEAD"))),
            ("POST", "/reload", Ok(Ask::Reload)),
            ("GET", "/reload", Err(Unfit::Method("POST"))),
            ("POST", "/drain", Ok(Ask::Leave)),
            ("GET", "/drain", Err(Unfit::Method("POST"))),
            (
                "POST",
                "/pools/v1/endpoints/10.0.0.1:80/drain",
                drain_of("v1", "10.0.0.1:80", Begin),
            ),
            (
                "POST",
                "/pools/v%31/endpoints/%5B::1%5d%3A80/undrain",
                drain_of("v1", "[::1]:80", End),
            ),
            (
                "POST",
                "/pools/a%2Fb/endpoints/[::1]:80/drain",
                drain_of("a/b", "[::1]:80", Begin),
            ),
            (
                "PUT",
                "/pools/v1/endpoints/10.0.0.1:80/drain",
                Err(Unfit::Method("POST")),
            ),
            (
                "POST",
                "/pools/v1/endpoints/shop/drain",
                Err(Unfit::Address),
            ),
            ("POST", "/pools/v1/endpoints/%zz/drain", Err(Unfit::Address)),
            (
                "POST",
                "/pools/%ff/endpoints/10.0.0.1:80/drain",
                Err(Unfit::Address),
            ),
            ("POST", "/pools/v1/endpoints/10.0.0.1:80/stop", unknown()),
            ("POST", "/pools/v1/endpoints/", unknown()),
            ("GET", "/rollouts", Err(Unfit::NotInThisVersion)),
            ("POST", "/rollouts/v2/start", Err(Unfit::NotInThisVersion)),
            ("GET", "/autoscale/v1", Err(Unfit::NotInThisVersion)),
            ("GET", "/rolloutsx", unknown()),
            ("GET", "/status/", unknown()),
            ("GET", "", unknown()),
            ("GET", "*", unknown()),
        ];
        for (method, path, expected) in cases {
            let method: Method = method.parse().unwrap();
            assert_eq!(ask(FULL, &method, path), expected, "{method} {path:?}");
        }
    }

    #[test]
    fn the_reading_address_knows_four_paths_and_one_kind_of_method() {
        let ask = |method: &str, path| ask(Scope::ReadOnly, &method.parse().unwrap(), path);
        for (path, page) in [
            ("/livez", Page::Livez),
            ("/readyz", Page::Readyz),
            ("/metrics", Page::Metrics),
        ] {
            assert_eq!(ask("GET", path), Ok(Ask::Page(page)));
            assert_eq!(ask("HEAD", path), Ok(Ask::Page(page)));
            assert_eq!(ask("POST", path), Err(Unfit::Unknown(Scope::ReadOnly)));
        }
        assert_eq!(ask("GET", "/autoscale/v1"), Err(Unfit::NotInThisVersion));
        for path in ["/", "/status", "/config", "/rollouts", "/reload", "/x"] {
            for method in ["GET", "POST", "DELETE"] {
                let asked = ask(method, path);
                let expected = Err(Unfit::Unknown(Scope::ReadOnly));
                assert_eq!(asked, expected, "{method} {path}");
            }
        }
    }
}
