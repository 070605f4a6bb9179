//! Names of fields as most messages write them, told apart by their length and a few comparisons of words. All others go the
//! long way through `http`, which looks at each octet twice.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL,
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, DATE, ETAG, HOST,
    HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, InvalidHeaderName, LAST_MODIFIED, LOCATION,
    ORIGIN, REFERER, SERVER, SET_COOKIE, TRANSFER_ENCODING, UPGRADE_INSECURE_REQUESTS, USER_AGENT,
    VARY,
};

/// The name of a field as it was received.
///
/// # Errors
/// [`InvalidHeaderName`] where it is none.
#[inline]
pub(crate) fn named(received: &str) -> Result<HeaderName, InvalidHeaderName> {
    Ok(match received {
        "Accept" | "accept" => ACCEPT,
        "Accept-Encoding" | "accept-encoding" => ACCEPT_ENCODING,
        "Accept-Language" | "accept-language" => ACCEPT_LANGUAGE,
        "Accept-Ranges" | "accept-ranges" => ACCEPT_RANGES,
        "Authorization" | "authorization" => AUTHORIZATION,
        "Cache-Control" | "cache-control" => CACHE_CONTROL,
        "Connection" | "connection" => CONNECTION,
        "Content-Encoding" | "content-encoding" => CONTENT_ENCODING,
        "Content-Length" | "content-length" => CONTENT_LENGTH,
        "Content-Type" | "content-type" => CONTENT_TYPE,
        "Cookie" | "cookie" => COOKIE,
        "Date" | "date" => DATE,
        "ETag" | "Etag" | "etag" => ETAG,
        "Host" | "host" => HOST,
        "If-Modified-Since" | "if-modified-since" => IF_MODIFIED_SINCE,
        "If-None-Match" | "if-none-match" => IF_NONE_MATCH,
        "Last-Modified" | "last-modified" => LAST_MODIFIED,
        "Location" | "location" => LOCATION,
        "Origin" | "origin" => ORIGIN,
        "Referer" | "referer" => REFERER,
        "Server" | "server" => SERVER,
        "Set-Cookie" | "set-cookie" => SET_COOKIE,
        "Transfer-Encoding" | "transfer-encoding" => TRANSFER_ENCODING,
        "Upgrade-Insecure-Requests" | "upgrade-insecure-requests" => UPGRADE_INSECURE_REQUESTS,
        "User-Agent" | "user-agent" => USER_AGENT,
        "Vary" | "vary" => VARY,
        other => return HeaderName::from_bytes(other.as_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_the_one_that_http_reads() {
        let usual = [
            "Accept",
            "Accept-Encoding",
            "Accept-Language",
            "Accept-Ranges",
            "Authorization",
            "Cache-Control",
            "Connection",
            "Content-Encoding",
            "Content-Length",
            "Content-Type",
            "Cookie",
            "Date",
            "ETag",
            "Etag",
            "Host",
            "If-Modified-Since",
            "If-None-Match",
            "Last-Modified",
            "Location",
            "Origin",
            "Referer",
            "Server",
            "Set-Cookie",
            "Transfer-Encoding",
            "Upgrade-Insecure-Requests",
            "User-Agent",
            "Vary",
            "X-Other",
        ];
        for name in usual {
            for received in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                let meant = HeaderName::from_bytes(received.as_bytes()).unwrap();
                assert_eq!(named(&received).unwrap(), meant, "{received}");
            }
        }
    }

    #[test]
    fn what_is_no_name_is_none() {
        for received in ["", "a b", "Höst", "Host ", "host:"] {
            assert!(named(received).is_err(), "{received:?}");
        }
    }
}
