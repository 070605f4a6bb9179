//! Which certificates a name gets: those for exactly it, else those for a wildcard above it, else the default ones.
//!
//! Several may be for one name, with keys of different kinds; the client's abilities choose among them.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

/// Positions of certificates, in file order.
type Seats = Vec<usize>;

/// Names, and the certificates that are for them.
#[derive(Debug, Default)]
pub(super) struct Names {
    exact: FxHashMap<Box<str>, Seats>,
    /// By what stands behind `*.`.
    wildcard: FxHashMap<Box<str>, Seats>,
    /// For a name that is in neither.
    default: Seats,
}

impl Names {
    /// From the names of each certificate, in lower case. The default is the first one, with others for its first name.
    pub(super) fn new<'a, I>(certificates: impl Iterator<Item = I>) -> Self
    where
        I: IntoIterator<Item = &'a str>,
    {
        let mut names = Self::default();
        let mut first = None;
        for (seat, of_one) in certificates.enumerate() {
            for name in of_one {
                if seat == 0 && first.is_none() {
                    first = Some(name);
                }
                let (map, name) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut names.wildcard, suffix),
                    None => (&mut names.exact, name),
                };
                map.entry(name.into()).or_default().push(seat);
            }
        }
        names.default = match first.map(|name| (name, name.strip_prefix("*."))) {
            Some((_, Some(suffix))) => names.wildcard.get(suffix).cloned(),
            Some((name, None)) => names.exact.get(name).cloned(),
            None => None,
        }
        .unwrap_or_else(|| vec![0]);
        names
    }

    /// The certificates for a name, the preferred one first; never none.
    pub(super) fn seats(&self, name: Option<&str>) -> &[usize] {
        name.and_then(|name| self.find(name))
            .unwrap_or(&self.default)
    }

    /// Whether a connection that asked for `asked` may carry requests for `host`: not where `host` has a certificate here
    /// that the connection's may not be.
    pub(super) fn serves(&self, asked: Option<&str>, host: &str) -> bool {
        if asked.is_some_and(|asked| asked.eq_ignore_ascii_case(host)) {
            return true;
        }
        let Some(own) = self.find(host) else {
            return true;
        };
        self.seats(asked).iter().all(|seat| own.contains(seat))
    }

    fn find(&self, name: &str) -> Option<&[usize]> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let name: Cow<'_, str> = match name.bytes().any(|octet| octet.is_ascii_uppercase()) {
            true => name.to_ascii_lowercase().into(),
            false => name.into(),
        };
        // RFC 6125 §6.4.3: a wildcard stands for one label.
        let above = || self.wildcard.get(name.split_once('.')?.1);
        self.exact.get(&*name).or_else(above).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(certificates: &[&[&'static str]]) -> Names {
        Names::new(certificates.iter().map(|of_one| of_one.iter().copied()))
    }

    #[test]
    fn an_exact_name_comes_before_a_wildcard_and_that_before_the_default() {
        let names = names(&[&["d.example"], &["*.a.example"], &["x.a.example"]]);
        assert_eq!(names.seats(Some("x.a.example")), [2]);
        assert_eq!(names.seats(Some("X.A.Example.")), [2]);
        assert_eq!(names.seats(Some("y.a.example")), [1]);
        assert_eq!(names.seats(Some("z.y.a.example")), [0]);
        assert_eq!(names.seats(Some("a.example")), [0]);
        assert_eq!(names.seats(None), [0]);
    }

    #[test]
    fn certificates_for_one_name_stand_beside_each_other() {
        let names = names(&[&["a.example", "b.example"], &["a.example"], &[]]);
        assert_eq!(names.seats(Some("a.example")), [0, 1]);
        assert_eq!(names.seats(Some("b.example")), [0]);
        assert_eq!(names.seats(Some("c.example")), [0, 1]);
    }

    #[test]
    fn a_certificate_without_names_can_be_the_default() {
        assert_eq!(names(&[&[], &["a.example"]]).seats(Some("b.example")), [0]);
    }

    #[test]
    fn a_connection_carries_what_its_certificate_is_for_and_what_none_is_for() {
        let names = names(&[
            &["a.example", "b.example"],
            &["c.example"],
            &["*.w.example"],
        ]);
        assert!(names.serves(Some("a.example"), "A.example"));
        assert!(names.serves(Some("a.example"), "b.example"));
        assert!(names.serves(Some("a.example"), "unknown.example"));
        assert!(names.serves(Some("1.w.example"), "2.w.example"));
        assert!(!names.serves(Some("a.example"), "c.example"));
        assert!(!names.serves(Some("a.example"), "C.EXAMPLE."));
        assert!(!names.serves(Some("a.example"), "1.w.example"));
        assert!(names.serves(None, "a.example"));
        assert!(!names.serves(None, "c.example"));
        assert!(!names.serves(Some("unknown.example"), "c.example"));
    }

    #[test]
    fn a_connection_whose_certificate_may_be_either_carries_only_what_both_are_for() {
        let names = names(&[&["a.example", "b.example"], &["a.example"]]);
        assert!(!names.serves(Some("a.example"), "b.example"));
        assert!(names.serves(Some("b.example"), "a.example"));
    }
}
