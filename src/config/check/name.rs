//! Names of endpoints with their ports: `shop.internal:8080`.
//!
//! What may stand in DNS may stand here: letters, digits, hyphens and underscores, in ASCII; a dot at the end makes a
//! name absolute. Whether there is such a name is asked when fiel runs, not when it checks.

use std::net::Ipv4Addr;

use crate::config::check::host::{host_fault, split_port};
use crate::config::check::value::is_digits;
use crate::config::model::Address;

/// The most octets of a name without its last dot (RFC 1035 §2.3.4).
const LONGEST: usize = 253;

/// What is wrong with a text, and how to mend it.
pub(crate) type Fault = (&'static str, String);

/// A name with its port. `None` where the text is meant as something else, which its reader explains better.
pub(crate) fn name(text: &str) -> Option<Result<Address, Fault>> {
    let (host, port) = split_port(text);
    let port = port?;
    let is_other = host.is_empty()
        || host.contains([':', '/', '[', ']', '@', '?', '#'])
        || host.contains(char::is_whitespace)
        || host.parse::<Ipv4Addr>().is_ok();
    if is_other || !is_digits(port) {
        return None;
    }
    Some(host_of(host).and_then(|host| match port.parse::<u16>() {
        Ok(0) => Err((
            "cannot be connected to at port 0",
            "write a port from 1 to 65535".to_owned(),
        )),
        Ok(port) => Ok(Address::Name {
            host: host.into(),
            port,
        }),
        Err(_) => Err((
            "has a port that is none",
            "write a port from 1 to 65535".to_owned(),
        )),
    }))
}

/// The host in lower case, its last dot kept.
fn host_of(host: &str) -> Result<String, Fault> {
    let lower = host.to_ascii_lowercase();
    let bare = lower.strip_suffix('.').unwrap_or(&lower);
    if bare.contains('*') {
        return Err((
            "holds a wildcard",
            "write the name of the endpoints, such as shop.internal:8080".to_owned(),
        ));
    }
    if !bare.is_ascii() {
        return Err((
            "holds characters beyond ASCII",
            "write the name in punycode (xn--…)".to_owned(),
        ));
    }
    // No top-level domain is all digits (RFC 3696 §2): `300.1.1.1` is a mistyped address.
    if bare.rsplit('.').next().is_some_and(is_digits) {
        return Err((
            "holds an IP address that is none",
            "write four numbers up to 255, such as 10.0.0.1:8080".to_owned(),
        ));
    }
    if bare.len() > LONGEST {
        return Err((
            "holds a name that is too long",
            format!("write at most {LONGEST} characters"),
        ));
    }
    if bare.split('.').any(str::is_empty) || bare.split('.').any(|label| label.len() > 63) {
        return Err((
            "is no host name",
            "write labels of 1 to 63 characters, joined by dots".to_owned(),
        ));
    }
    match host_fault(bare) {
        Some(_) => Err((
            "holds characters that no name has",
            "use letters, digits, \"-\", \"_\" and dots".to_owned(),
        )),
        None => Ok(lower),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<String> {
        let found = name(text)?.ok()?;
        Some(found.to_string())
    }

    #[test]
    fn names_keep_underscores_punycode_and_their_last_dot_and_lose_their_capitals() {
        for (text, wanted) in [
            ("Shop.Internal:8080", "shop.internal:8080"),
            ("shop:80", "shop:80"),
            ("localhost:1", "localhost:1"),
            ("shop.internal.:80", "shop.internal.:80"),
            ("_http._tcp.shop:80", "_http._tcp.shop:80"),
            ("xn--bcher-kva.example:80", "xn--bcher-kva.example:80"),
            ("1password.example:80", "1password.example:80"),
        ] {
            assert_eq!(read(text).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn what_is_no_name_is_told_or_left_to_others() {
        let long = format!("{}.a:80", "a".repeat(64));
        let longer = format!("{}b:80", "a.".repeat(127));
        for text in [
            "bücher.example:80",
            "300.1.1.1:80",
            "1.2.3.4.:80",
            "a..b:80",
            ".:80",
            "a,b:80",
            "*.shop:80",
            "shop:0",
            "shop:65536",
            long.as_str(),
            longer.as_str(),
        ] {
            assert!(matches!(name(text), Some(Err(_))), "{text}");
        }
        for text in [
            "shop",
            ":80",
            "8080",
            "http://a:80",
            "::1:80",
            "[::1]:80",
            "shop:http",
            "a b:80",
            "127.0.0.1:70000",
        ] {
            assert!(name(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_longest_name_and_the_longest_label_may_be_written() {
        let label = "a".repeat(63);
        let name = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(name.len(), LONGEST);
        assert_eq!(read(&format!("{name}:80")), Some(format!("{name}:80")));
        assert_eq!(read(&format!("{name}.:80")), Some(format!("{name}.:80")));
        assert_eq!(read(&format!("{name}b:80")), None);
    }

    proptest! {
        #[test]
        fn a_name_that_is_taken_reads_back_as_itself(text in "[a-zA-Z0-9._:-]{1,40}") {
            if let Some(Ok(address)) = name(&text) {
                let again = name(&address.to_string());
                prop_assert_eq!(again, Some(Ok(address)));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            drop(name(&text));
        }
    }
}
