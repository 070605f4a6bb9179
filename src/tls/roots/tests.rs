//! Authorities over the years, by both who verify with them.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error};
use tempfile::TempDir;

use crate::tls::client_auth::{ClientAuth, Mode};
use crate::tls::reason::explained;
use crate::tls::tickets::OfClient;
use crate::tls::trust::{Authorities, Trust};
use crate::tls::until::Until;

/// An authority that is good from the first day of one year to that of another.
struct Signer {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn signer(name: &str, key: &KeyPair, years: (i32, i32)) -> Signer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let key = KeyPair::from_pem(&key.serialize_pem()).unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Signer {
        issuer: Issuer::new(params, key),
        pem,
    }
}

impl Signer {
    fn new(name: &str, years: (i32, i32)) -> Self {
        signer(name, &KeyPair::generate().unwrap(), years)
    }

    /// A certificate that is good for longer than all others.
    fn issue(&self) -> CertificateDer<'static> {
        let params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.issuer).unwrap().der().clone()
    }
}

fn auth(signers: &[&Signer]) -> (ClientAuth, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.crt");
    let text: String = signers.iter().map(|one| one.pem.as_str()).collect();
    fs::write(&ca, text).unwrap();
    let auth = ClientAuth::load(&ca, None, Mode::Require).unwrap();
    (auth, folder)
}

/// The middle of a year.
fn in_year(year: i32) -> UnixTime {
    let at = date_time_ymd(year, 7, 1).unix_timestamp();
    UnixTime::since_unix_epoch(Duration::from_secs(at.try_into().unwrap()))
}

fn verify(auth: &ClientAuth, shown: &CertificateDer<'_>, year: i32) -> Result<(), Error> {
    let verifier = auth.verifier(Arc::default());
    verifier
        .verify_client_cert(shown, &[], in_year(year))
        .map(drop)
}

#[track_caller]
fn assert_told(auth: &ClientAuth, told: Result<(), Error>, words: &str) {
    let error = std::io::Error::new(std::io::ErrorKind::InvalidData, told.unwrap_err());
    let told = explained(error, Some(auth.roots())).to_string();
    assert_eq!(told, format!("invalid peer certificate: {words}"));
}

#[test]
fn each_authority_is_believed_in_its_own_time_whatever_becomes_of_the_others() {
    let (early, late) = (
        Signer::new("early", (2020, 2030)),
        Signer::new("late", (2025, 2040)),
    );
    let (auth, _folder) = auth(&[&early, &late]);
    let (earlys, lates) = (early.issue(), late.issue());

    assert_eq!(verify(&auth, &earlys, 2022), Ok(()));
    let ahead = "the certificate of the authority late is not good before 2025-01-01T00:00:00Z";
    assert_told(&auth, verify(&auth, &lates, 2022), ahead);
    assert_eq!(verify(&auth, &earlys, 2027), Ok(()));
    assert_eq!(verify(&auth, &lates, 2027), Ok(()));
    let over = "the certificate of the authority early has expired on 2030-01-01T00:00:00Z";
    assert_told(&auth, verify(&auth, &earlys, 2032), over);
    assert_eq!(verify(&auth, &lates, 2032), Ok(()));
    // Nobody is left.
    assert_told(&auth, verify(&auth, &earlys, 2045), over);
    let over = "the certificate of the authority late has expired on 2040-01-01T00:00:00Z";
    assert_told(&auth, verify(&auth, &lates, 2045), over);
}

#[test]
fn a_stranger_is_no_more_than_that_when_an_authority_has_run_out() {
    let (auth, _folder) = auth(&[&Signer::new("early", (2020, 2030))]);
    // It calls itself the same.
    let stranger = Signer::new("early", (2020, 2030)).issue();
    for year in [2022, 2032] {
        let told = verify(&auth, &stranger, year);
        assert!(
            matches!(told, Err(Error::InvalidCertificate(_))),
            "{told:?}"
        );
        let expired = matches!(
            told,
            Err(Error::InvalidCertificate(
                CertificateError::ExpiredContext { .. }
            ))
        );
        assert!(!expired, "{told:?}");
    }
}

#[test]
fn an_authority_that_was_renewed_with_its_key_is_believed_although_the_old_one_is_still_there() {
    let key = KeyPair::generate().unwrap();
    let old = signer("authority", &key, (2020, 2030));
    let new = signer("authority", &key, (2029, 2040));
    let (auth, _folder) = auth(&[&old, &new]);
    let shown = old.issue();
    for year in [2022, 2029, 2035] {
        assert_eq!(verify(&auth, &shown, year), Ok(()), "{year}");
    }
}

#[test]
fn a_ticket_holds_as_long_as_the_same_authorities_are_good() {
    let signer = Signer::new("authority", (2020, 2030));
    let (auth, _folder) = auth(&[&signer]);
    let tickets = tickets_of(&auth, &Arc::default());

    let ticket = tickets.seal(b"a session", in_year(2022)).unwrap();

    let opened = tickets.open(&ticket, in_year(2029));
    assert_eq!(opened.as_deref(), Some(&b"a session"[..]));
    assert_eq!(tickets.open(&ticket, in_year(2031)), None);
    assert_eq!(tickets.open(b"", in_year(2022)), None);
}

fn tickets_of(auth: &ClientAuth, until: &Arc<Until>) -> OfClient {
    let ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    OfClient::new(ticketer, Arc::clone(auth.roots()), Arc::clone(until))
}

#[test]
fn a_ticket_ends_with_the_first_certificate_of_its_clients_chain_also_when_it_was_handed_on() {
    let signer = Signer::new("authority", (2020, 2040));
    let (auth, _folder) = auth(&[&signer]);
    let below = |years: (i32, i32)| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "between");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &signer.issuer).unwrap();
        (Issuer::new(params, key), certificate.der().clone())
    };
    let (between, needed) = below((2020, 2030));
    let (_, needless) = below((2010, 2011));
    let params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &between).unwrap().der().clone();
    let until = Arc::<Until>::default();
    let verifier = auth.verifier(Arc::clone(&until));

    verifier
        .verify_client_cert(&leaf, &[needed, needless], in_year(2022))
        .unwrap();

    let tickets = tickets_of(&auth, &until);
    let ticket = tickets.seal(b"a session", in_year(2022)).unwrap();
    // Another connection takes the session up, and gets a ticket for the next.
    until.set(i64::MAX);
    assert!(tickets.open(&ticket, in_year(2029)).is_some());
    let next = tickets.seal(b"a session", in_year(2029)).unwrap();
    until.set(i64::MAX);
    for ticket in [ticket, next] {
        assert!(tickets.open(&ticket, in_year(2029)).is_some());
        assert_eq!(tickets.open(&ticket, in_year(2031)), None);
    }
}

#[test]
fn all_are_good_at_the_edges_of_their_time_and_not_beyond() {
    let signer = Signer::new("authority", (2020, 2030));
    let (auth, _folder) = auth(&[&signer]);
    let second = |at: i64| UnixTime::since_unix_epoch(Duration::from_secs(at.try_into().unwrap()));
    let [begin, end] = [2020, 2030].map(|year| date_time_ymd(year, 1, 1).unix_timestamp());
    let whole = [begin - 1, begin, end, end + 1].map(|at| auth.roots().are_whole(second(at)));
    assert_eq!(whole, [false, true, true, false]);
    let stretches = [begin - 1, begin, end, end + 1].map(|at| auth.roots().stretch(second(at)));
    assert_eq!(stretches, [0, 1, 1, 2]);
}

#[test]
fn a_session_with_an_endpoint_ends_with_its_authority() {
    let signer = Signer::new("authority", (2020, 2030));
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.crt");
    fs::write(&ca, &signer.pem).unwrap();
    let trust = Trust::Authorities(Arc::new(Authorities::load(&ca).unwrap()));
    let believer = trust.believer().unwrap();
    let name = ServerName::try_from("client.example").unwrap();
    let chain = [signer.issue()];
    let looked = |year| believer.still_believes(Some(&chain), &name, in_year(year));

    assert_eq!(looked(2022), Ok(()));
    let expired = looked(2031).unwrap_err();
    assert!(matches!(
        expired,
        Error::InvalidCertificate(CertificateError::ExpiredContext { .. })
    ));
    // Who is believed whoever it is, is looked at at no time.
    let anybody = Trust::Anybody.believer().unwrap();
    assert_eq!(anybody.stretch(in_year(2031)), None);
    assert_ne!(
        believer.stretch(in_year(2022)),
        believer.stretch(in_year(2031))
    );
}

#[test]
fn a_certificate_that_is_named_itself_is_told_when_it_has_run_out() {
    let signer = Signer::new("authority", (2020, 2030));
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.crt");
    let mut params = CertificateParams::new(vec!["own.example".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    // Beside an authority that is still good.
    fs::write(&ca, own.pem() + &signer.pem).unwrap();
    let trust = Trust::Authorities(Arc::new(Authorities::load(&ca).unwrap()));
    let believer = trust.believer().unwrap();
    let name = ServerName::try_from("own.example").unwrap();
    let verify = |year| {
        let now = in_year(year);
        believer
            .verify_server_cert(own.der(), &[], &name, &[], now)
            .map(drop)
    };

    assert_eq!(verify(2022), Ok(()));
    assert!(matches!(
        verify(2031),
        Err(Error::InvalidCertificate(
            CertificateError::ExpiredContext { .. }
        ))
    ));
}
