//! What the system says about resolving names: the hosts file and resolv.conf, read again whenever they have changed.
//!
//! Neither has to be there. Without name servers the hosts file still holds, and `localhost` even without that.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use crate::change::Outcome;
use crate::config::model::{Family, Resolver};
use crate::discovery::answer::usable;
use crate::discovery::ask::Question;
use crate::discovery::hosts::Hosts;
use crate::discovery::resolv_conf::ResolvConf;

/// What the system says.
#[derive(Debug)]
pub(crate) struct System {
    settings: Resolver,
    hosts: Cached<Hosts>,
    conf: Cached<ResolvConf>,
    /// Made for the servers and options in force; `None` where there is nobody to ask.
    resolver: Option<TokioResolver>,
    /// For which state of resolv.conf that is.
    made_for: Option<u64>,
}

/// A way to the addresses of a name.
#[derive(Debug)]
pub(crate) enum Way {
    /// Known here.
    Here(Outcome),
    /// Name servers are to be asked.
    Servers(Box<Question>),
}

impl System {
    pub(crate) fn new(settings: Resolver) -> Self {
        Self {
            hosts: Cached::new(settings.hosts_file.clone()),
            conf: Cached::new(settings.resolv_conf.clone()),
            settings,
            resolver: None,
            made_for: None,
        }
    }

    pub(crate) fn settings(&self) -> &Resolver {
        &self.settings
    }

    /// How the addresses of this name are come by at present.
    pub(crate) fn way(&mut self, host: &str) -> Way {
        let family = self.settings.family;
        let hosts = self.hosts.read(Hosts::parse);
        if let Some(addresses) = hosts.find(host, family == Family::Ipv6) {
            let addresses = usable(&addresses, family);
            if !addresses.is_empty() {
                return Way::Here(Outcome::Found {
                    addresses,
                    ttl: None,
                    doubt: None,
                });
            }
        }
        self.renew();
        let conf = &self.conf.value;
        let Some(resolver) = self.resolver.clone() else {
            let file = self.settings.resolv_conf.display();
            let problem = match &self.conf.error {
                Some(error) => format!("no name servers: {file}: {error}"),
                None => format!("no name servers in {file}"),
            };
            return Way::Here(Outcome::Failed(problem.into()));
        };
        Way::Servers(Box::new(Question {
            candidates: conf.candidates(host),
            family,
            a: family != Family::Ipv6,
            aaaa: family == Family::Ipv6 || family == Family::All && !conf.no_aaaa,
            resolver,
        }))
    }

    /// Makes the resolver anew where resolv.conf has changed.
    fn renew(&mut self) {
        self.conf.read(|text| {
            let (conf, unread) = ResolvConf::parse(text);
            for line in unread {
                tracing::warn!(line, "Line of resolv.conf is passed over");
            }
            conf
        });
        if self.made_for == Some(self.conf.readings) {
            return;
        }
        self.made_for = Some(self.conf.readings);
        let conf = &self.conf.value;
        let servers: Vec<SocketAddr> = match self.settings.servers.is_empty() {
            true => conf.servers.iter().map(|&one| (one, 53).into()).collect(),
            false => self.settings.servers.clone(),
        };
        if servers.is_empty() {
            tracing::warn!(file = %self.conf.path.display(), error = ?self.conf.error, "There are no name servers, only the hosts file is used");
            self.resolver = None;
            return;
        }
        self.resolver = match resolver(&servers, conf) {
            Ok(resolver) => Some(resolver),
            Err(error) => {
                tracing::error!(%error, "Resolver could not be made");
                None
            }
        };
    }
}

fn resolver(servers: &[SocketAddr], conf: &ResolvConf) -> Result<TokioResolver, String> {
    let servers = servers.iter().map(|server| {
        let mut ways = match conf.use_vc {
            true => vec![ConnectionConfig::tcp()],
            false => vec![ConnectionConfig::udp(), ConnectionConfig::tcp()],
        };
        for way in &mut ways {
            way.port = server.port();
        }
        NameServerConfig::new(server.ip(), true, ways)
    });
    let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
    let mut options = ResolverOpts::default();
    options.timeout = conf.timeout;
    options.attempts = conf.attempts;
    options.edns0 = conf.edns0;
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = 0;
    let provider = TokioRuntimeProvider::default();
    let builder = TokioResolver::builder_with_config(config, provider).with_options(options);
    builder.build().map_err(|error| error.to_string())
}

/// What was made of a file, as long as the file stays the same.
#[derive(Debug)]
struct Cached<T> {
    path: PathBuf,
    stamp: Option<Stamp>,
    value: T,
    /// Why the file could not be read.
    error: Option<io::ErrorKind>,
    /// How often something new was read.
    readings: u64,
}

/// Which file it is and when it was last changed.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl<T: Default> Cached<T> {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            stamp: None,
            value: T::default(),
            error: None,
            readings: 0,
        }
    }

    fn read(&mut self, parse: impl FnOnce(&str) -> T) -> &T {
        let stamp = stamp(&self.path);
        let is_same = match &stamp {
            Ok(stamp) => self.stamp.as_ref() == Some(stamp),
            Err(error) => self.readings > 0 && self.error == Some(error.kind()),
        };
        if is_same {
            return &self.value;
        }
        self.readings += 1;
        // The stamp is older than what is read: a change in between is seen the next time.
        self.stamp = stamp.as_ref().ok().copied();
        (self.value, self.error) = match stamp.and_then(|_| fs::read(&self.path)) {
            Ok(text) => (parse(&String::from_utf8_lossy(&text)), None),
            Err(error) => (T::default(), Some(error.kind())),
        };
        &self.value
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let about = fs::metadata(path)?;
    Ok((
        about.dev(),
        about.ino(),
        about.size(),
        (about.mtime(), about.mtime_nsec()),
        (about.ctime(), about.ctime_nsec()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(folder: &Path) -> System {
        System::new(Resolver {
            hosts_file: folder.join("hosts"),
            resolv_conf: folder.join("resolv.conf"),
            ..Resolver::default()
        })
    }

    fn put(folder: &Path, name: &str, text: &str) {
        let aside = folder.join("aside");
        fs::write(&aside, text).unwrap();
        fs::rename(aside, folder.join(name)).unwrap();
    }

    fn here(way: Way) -> Outcome {
        match way {
            Way::Here(outcome) => outcome,
            Way::Servers(question) => panic!("{question:?}"),
        }
    }

    fn there(way: Way) -> Question {
        match way {
            Way::Servers(question) => *question,
            Way::Here(outcome) => panic!("{outcome:?}"),
        }
    }

    #[test]
    fn without_any_file_localhost_is_known_and_other_names_say_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let mut system = system(folder.path());

        let localhost = here(system.way("localhost"));
        let other = here(system.way("shop.internal"));

        assert!(matches!(localhost, Outcome::Found { .. }), "{localhost:?}");
        let Outcome::Failed(problem) = other else {
            panic!("{other:?}");
        };
        assert!(problem.starts_with("no name servers: "), "{problem}");
        assert!(problem.contains("resolv.conf"), "{problem}");
    }

    #[test]
    fn files_are_read_again_when_they_have_changed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut system = system(folder);
        put(folder, "resolv.conf", "search a\n");
        assert!(matches!(system.way("shop"), Way::Here(Outcome::Failed(_))));

        put(folder, "resolv.conf", "search a\nnameserver 127.0.0.1\n");
        assert_eq!(there(system.way("shop")).candidates, ["shop.a.", "shop."]);
        put(folder, "hosts", "127.0.0.7 shop\n");
        let Outcome::Found { addresses, ttl, .. } = here(system.way("shop")) else {
            panic!("it is in the file");
        };
        assert_eq!(
            addresses.to_vec(),
            ["127.0.0.7".parse::<std::net::IpAddr>().unwrap()]
        );
        assert_eq!(ttl, None);
        fs::remove_file(folder.join("hosts")).unwrap();
        there(system.way("shop"));
        fs::remove_file(folder.join("resolv.conf")).unwrap();
        assert!(matches!(system.way("shop"), Way::Here(Outcome::Failed(_))));
    }

    #[test]
    fn what_is_no_file_is_looked_at_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("resolv.conf")).unwrap();
        let mut system = system(folder.path());

        for _ in 0..3 {
            assert!(matches!(system.way("shop"), Way::Here(Outcome::Failed(_))));
        }

        assert_eq!(system.conf.readings, 1);
    }

    #[test]
    fn servers_of_the_configuration_take_the_place_of_the_systems_and_its_options_stay() {
        let folder = tempfile::tempdir().unwrap();
        put(
            folder.path(),
            "resolv.conf",
            "search a\noptions ndots:3 no-aaaa\n",
        );
        let mut system = system(folder.path());
        system.settings.servers = vec!["127.0.0.1:5353".parse().unwrap()];

        let question = there(system.way("shop.b"));

        assert_eq!(question.candidates, ["shop.b.a.", "shop.b."]);
        assert!(question.a && !question.aaaa);
    }

    #[test]
    fn a_name_in_the_hosts_file_without_the_family_that_is_wanted_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "resolv.conf", "nameserver 127.0.0.1\n");
        put(folder.path(), "hosts", "127.0.0.7 shop\n");
        let mut system = system(folder.path());
        system.settings.family = Family::Ipv6;

        let question = there(system.way("shop"));

        assert!(question.aaaa && !question.a);
    }
}
