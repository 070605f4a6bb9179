//! Who a client has proved to be: the subject and the alternative names of its certificate, as routes match them and as
//! endpoints are told.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::HeaderValue;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::tls::subject;

/// More alternative names than this are not told to endpoints: a header has its limits. They count for routes.
const MAX_TOLD: usize = 64;

/// An alternative name with its kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum San {
    /// A host name, in lower case.
    Dns(Arc<str>),
    /// A URI, such as a SPIFFE id.
    Uri(Arc<str>),
    /// An e-mail address.
    Email(Arc<str>),
    /// An address.
    Ip(IpAddr),
}

/// Who a client has proved to be.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The subject, as RFC 4514 writes it.
    pub subject: String,
    /// The alternative names.
    pub sans: Vec<San>,
    /// As endpoints are told it.
    told: HeaderValue,
}

impl San {
    /// Reads `DNS:…`, `URI:…`, `email:…` or `IP:…`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, value) = text.split_once(':')?;
        let value = value.trim();
        match kind {
            _ if value.is_empty() => None,
            "DNS" => Some(Self::Dns(value.to_ascii_lowercase().into())),
            "URI" => Some(Self::Uri(value.into())),
            "email" => Some(Self::Email(value.into())),
            "IP" => value.parse().ok().map(Self::Ip),
            _ => None,
        }
    }

    fn of(name: &GeneralName<'_>) -> Option<Self> {
        match name {
            GeneralName::DNSName(name) => Some(Self::Dns(name.to_ascii_lowercase().into())),
            GeneralName::URI(uri) => Some(Self::Uri((*uri).into())),
            GeneralName::RFC822Name(email) => Some(Self::Email((*email).into())),
            GeneralName::IPAddress(octets) => address(octets).map(Self::Ip),
            _ => None,
        }
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{name}"),
            Self::Uri(uri) => write!(f, "URI:{uri}"),
            Self::Email(email) => write!(f, "email:{email}"),
            Self::Ip(address) => write!(f, "IP:{address}"),
        }
    }
}

impl Identity {
    /// Reads a certificate that was verified; `None` where nothing can be made of it.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let alternatives = parsed.subject_alternative_name().ok()?;
        let names = alternatives.iter().flat_map(|all| &all.value.general_names);
        let sans: Vec<San> = names.filter_map(San::of).collect();
        let subject = subject::written(parsed.subject());
        Some(Self {
            told: told(certificate, &subject, &sans)?,
            subject,
            sans,
        })
    }

    /// The value of `X-Forwarded-Client-Cert`, in Envoy's form: `Hash`, `Subject`, then `URI` and `DNS` for each such name.
    #[must_use]
    pub fn told(&self) -> &HeaderValue {
        &self.told
    }
}

fn told(certificate: &[u8], subject: &str, sans: &[San]) -> Option<HeaderValue> {
    let mut text = String::from("Hash=");
    let suite = TLS13_AES_128_GCM_SHA256.tls13()?;
    for octet in suite.common.hash_provider.hash(certificate).as_ref() {
        write!(text, "{octet:02x}").ok()?;
    }
    push(&mut text, "Subject", subject, Quotes::Always);
    for san in sans.iter().take(MAX_TOLD) {
        match san {
            San::Uri(uri) => push(&mut text, "URI", uri, Quotes::WhereNeeded),
            San::Dns(name) => push(&mut text, "DNS", name, Quotes::WhereNeeded),
            San::Email(_) | San::Ip(_) => {}
        }
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Always,
    WhereNeeded,
}

/// Adds `;key=value`, so that no value can be taken for another key.
fn push(text: &mut String, key: &str, value: &str, quotes: Quotes) {
    let divides = |letter: char| matches!(letter, ',' | ';' | '=' | '"' | '\\' | ' ');
    text.push(';');
    text.push_str(key);
    text.push('=');
    let quoted = quotes == Quotes::Always || value.contains(divides);
    if quoted {
        text.push('"');
    }
    for letter in value.chars() {
        match letter {
            '"' | '\\' => {
                text.push('\\');
                text.push(letter);
            }
            letter if letter.is_ascii_graphic() || letter == ' ' => text.push(letter),
            // A header has no room for them as they are.
            letter => {
                for octet in letter.encode_utf8(&mut [0; 4]).bytes() {
                    write!(text, "%{octet:02X}").expect("a text grows");
                }
            }
        }
    }
    if quoted {
        text.push('"');
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(four).into());
    }
    let sixteen = <[u8; 16]>::try_from(octets).ok()?;
    Some(Ipv6Addr::from(sixteen).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alternative_name_reads_back_as_it_is_written() {
        for text in [
            "DNS:a.example",
            "URI:spiffe://x/y",
            "email:a@example.com",
            "IP:10.0.0.1",
            "IP:fd00::1",
        ] {
            assert_eq!(San::parse(text).unwrap().to_string(), text);
        }
        for text in ["a.example", "dns:a", "DNS:", "IP:a.example", "othername:x"] {
            assert_eq!(San::parse(text), None, "{text}");
        }
    }

    #[test]
    fn no_name_can_pretend_to_be_another_key() {
        let sans = [
            San::Uri("spiffe://x;DNS=admin.example".into()),
            San::Dns("a\",b\u{e9}\r\n".into()),
        ];
        let value = told(b"", "CN=a\\,b", &sans).unwrap();
        let text = value.to_str().unwrap();
        let (_, rest) = text.split_once(';').unwrap();
        assert_eq!(
            rest,
            "Subject=\"CN=a\\\\,b\";URI=\"spiffe://x;DNS=admin.example\";DNS=\"a\\\",b%C3%A9%0D%0A\""
        );
    }
}
