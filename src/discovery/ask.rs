//! One asking for a name at the name servers: A and AAAA of each name that it may stand for, side by side.
//!
//! The two are asked for apart, so that a failure of one is not taken for an answer: its addresses of before are kept.
//! A candidate of the search list that nobody could say anything about ends the asking, because the next one might be
//! somebody else's name (a wildcard in another domain).

use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::time::timeout;

use crate::change::Outcome;
use crate::config::model::Family;
use crate::discovery::answer::usable;

/// How long the addresses of one family wait for those of the other.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked, and of whom.
#[derive(Debug)]
pub(crate) struct Question {
    /// Absolute names, in their order.
    pub(crate) candidates: Vec<String>,
    /// Which addresses are wanted.
    pub(crate) family: Family,
    /// Whether A records are asked for.
    pub(crate) a: bool,
    /// Whether AAAA records are asked for.
    pub(crate) aaaa: bool,
    /// The name servers.
    pub(crate) resolver: TokioResolver,
}

/// What was said about one type of records.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// These, for so long.
    Found(Vec<IpAddr>, Duration),
    /// The name has none of this type, or was not asked for them.
    Empty,
    /// There is no such name at all.
    NoName,
    /// Nobody said anything of use.
    Failed(Box<str>),
}

/// What was said about one candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Settled(Outcome),
    /// There is no such name, or it has no addresses: the next candidate may have.
    Next(&'static str),
}

/// Asks; `before` are the addresses of the last good answer.
pub(crate) async fn ask(question: Question, before: &[IpAddr]) -> Outcome {
    // No records are left behind for the next asking, which wants to know what is so by then.
    question.resolver.clear_cache();
    let mut denial = "no such name";
    for candidate in &question.candidates {
        let Ok(name) = Name::from_ascii(candidate) else {
            continue;
        };
        let (a, aaaa) = both(&question, &name).await;
        match verdict(a, aaaa, before, question.family) {
            Verdict::Settled(Outcome::Failed(problem)) => {
                return Outcome::Failed(format!("{problem} for {candidate}").into());
            }
            Verdict::Settled(outcome) => return outcome,
            Verdict::Next(said) => denial = said,
        }
    }
    Outcome::Missing(denial.into())
}

async fn both(question: &Question, name: &Name) -> (Part, Part) {
    let mut a = pin!(one(question, name, RecordType::A, question.a));
    let mut aaaa = pin!(one(question, name, RecordType::AAAA, question.aaaa));
    tokio::select! {
        a = &mut a => {
            let other = other(&a, aaaa).await;
            (a, other)
        }
        aaaa = &mut aaaa => {
            let other = other(&aaaa, a).await;
            (other, aaaa)
        }
    }
}

/// The second part, for which one that has addresses waits only so long.
async fn other(first: &Part, second: impl Future<Output = Part>) -> Part {
    if !matches!(first, Part::Found(..)) {
        return second.await;
    }
    let late = |_| Part::Failed("no answer in time".into());
    timeout(PATIENCE, second).await.unwrap_or_else(late)
}

async fn one(question: &Question, name: &Name, kind: RecordType, is_wanted: bool) -> Part {
    if !is_wanted {
        return Part::Empty;
    }
    match question.resolver.lookup(name.clone(), kind).await {
        Ok(lookup) => {
            let records = lookup.answers();
            let addresses: Vec<IpAddr> = records
                .iter()
                .filter(|record| record.record_type() == kind)
                .filter_map(|record| record.data.ip_addr())
                .collect();
            let ttl = records.iter().map(|record| record.ttl).min();
            match addresses.is_empty() {
                true => Part::Empty,
                false => Part::Found(addresses, Duration::from_secs(ttl.unwrap_or(0).into())),
            }
        }
        Err(error) => failure(&error),
    }
}

fn failure(error: &NetError) -> Part {
    let code = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        NetError::Timeout => return Part::Failed("no answer in time".into()),
        other => return Part::Failed(other.to_string().into()),
    };
    match code {
        ResponseCode::NoError => Part::Empty,
        ResponseCode::NXDomain => Part::NoName,
        ResponseCode::ServFail => Part::Failed("SERVFAIL".into()),
        ResponseCode::Refused => Part::Failed("REFUSED".into()),
        ResponseCode::FormErr => Part::Failed("FORMERR".into()),
        ResponseCode::NotImp => Part::Failed("NOTIMP".into()),
        other => Part::Failed(format!("response code {}", u16::from(other)).into()),
    }
}

fn verdict(a: Part, aaaa: Part, before: &[IpAddr], family: Family) -> Verdict {
    let mut addresses = Vec::new();
    let (mut ttl, mut doubt, mut failed, mut denied) = (None, None, None, false);
    let parts = [("A", a), ("AAAA", aaaa)];
    for (kind, part) in parts {
        match part {
            Part::Found(found, until) => {
                addresses.extend(found);
                ttl = Some(ttl.map_or(until, |ttl: Duration| ttl.min(until)));
            }
            Part::Empty => {}
            Part::NoName => denied = true,
            Part::Failed(problem) => {
                let words = format!("{problem} for {kind} records, the last ones are kept");
                doubt = Some((kind, words));
                failed = Some(problem);
            }
        }
    }
    match (ttl, failed) {
        (Some(ttl), _) => {
            if let Some((kind, _)) = doubt {
                let kept = before.iter().filter(|one| one.is_ipv4() == (kind == "A"));
                addresses.extend(kept);
            }
            let addresses = usable(&addresses, family);
            Verdict::Settled(match addresses.is_empty() {
                true => Outcome::Missing("only addresses that cannot be connected to".into()),
                false => Outcome::Found {
                    addresses,
                    ttl: Some(ttl),
                    doubt: doubt.map(|(_, words)| words.into()),
                },
            })
        }
        // There is no such name, whatever the other type's failure was.
        (None, _) if denied => Verdict::Next("NXDOMAIN"),
        (None, Some(problem)) => Verdict::Settled(Outcome::Failed(problem)),
        (None, None) => Verdict::Next("no A or AAAA records"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(addresses: &[&str], seconds: u64) -> Part {
        let addresses = addresses.iter().map(|one| one.parse().unwrap());
        Part::Found(addresses.collect(), Duration::from_secs(seconds))
    }

    fn failed() -> Part {
        Part::Failed("SERVFAIL".into())
    }

    fn judged(a: Part, aaaa: Part, before: &[&str]) -> Verdict {
        let before: Vec<IpAddr> = before.iter().map(|one| one.parse().unwrap()).collect();
        verdict(a, aaaa, &before, Family::All)
    }

    #[test]
    fn an_answer_holds_as_long_as_its_shortest_record() {
        let wanted = Outcome::Found {
            addresses: ["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()].into(),
            ttl: Some(Duration::from_secs(7)),
            doubt: None,
        };
        let a = found(&["127.0.0.2"], 9);
        let mapped = found(&["::ffff:127.0.0.1"], 7);
        assert_eq!(judged(a, mapped, &[]), Verdict::Settled(wanted));
    }

    #[test]
    fn a_family_that_failed_keeps_the_addresses_it_had_and_one_that_is_empty_does_not() {
        let a = found(&["127.0.0.2"], 9);
        let before = ["127.0.0.1", "127.0.0.3"];
        let Verdict::Settled(Outcome::Found {
            addresses, doubt, ..
        }) = judged(
            failed(),
            Part::Found(vec!["::ffff:127.0.0.2".parse().unwrap()], Duration::ZERO),
            &before,
        )
        else {
            panic!("it was answered in part");
        };
        assert_eq!(addresses.len(), 3);
        assert!(doubt.unwrap().contains("A records"));
        let Verdict::Settled(Outcome::Found {
            addresses, doubt, ..
        }) = judged(a, Part::Empty, &before)
        else {
            panic!("it was answered");
        };
        assert_eq!((addresses.len(), doubt), (1, None));
    }

    #[test]
    fn a_failure_is_no_denial_and_a_denial_of_the_name_is_one_for_both() {
        let failure = Verdict::Settled(Outcome::Failed("SERVFAIL".into()));
        assert_eq!(judged(failed(), Part::Empty, &[]), failure);
        assert_eq!(judged(failed(), failed(), &["127.0.0.1"]), failure);
        let denied = Verdict::Next("NXDOMAIN");
        assert_eq!(judged(Part::NoName, failed(), &[]), denied);
        assert_eq!(judged(Part::NoName, Part::NoName, &[]), denied);
        let none = Verdict::Next("no A or AAAA records");
        assert_eq!(judged(Part::Empty, Part::Empty, &[]), none);
    }

    #[test]
    fn an_answer_of_nothing_but_zeros_is_none() {
        let wanted = Outcome::Missing("only addresses that cannot be connected to".into());
        let zeros = found(&["0.0.0.0"], 9);
        assert_eq!(judged(zeros, Part::Empty, &[]), Verdict::Settled(wanted));
    }
}
