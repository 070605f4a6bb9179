//! A name server that says what it is told to, over UDP: addresses with a TTL, that there is no such name, that it
//! failed, or nothing at all. It keeps what it was asked.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::wait::Watched;

/// A running name server; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Dns {
    address: SocketAddr,
    state: Arc<Watched<State>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    answers: HashMap<String, Says>,
    asked: Vec<String>,
}

/// What is said about a name; of one that nothing is known about, that there is no such name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// These addresses for so many seconds, each under the type of its family.
    Addresses(Vec<IpAddr>, u32),
    /// There is no such name.
    NoSuchName,
    /// It failed.
    Failure,
    /// Nothing.
    Nothing,
}

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

impl Dns {
    /// Starts one that knows no name.
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::new(Watched::new(State::default()));
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = {
            let (state, is_over) = (Arc::clone(&state), Arc::clone(&is_over));
            thread::spawn(move || serve(&socket, &state, &is_over))
        };
        Self {
            address,
            state,
            is_over,
            thread: Some(thread),
        }
    }

    /// The keys of a configuration with which fiel asks it and nobody else, and looks into no file.
    pub(crate) fn resolver(&self) -> String {
        format!(
            "resolver: {{ servers: [\"{}\"], hostsFile: no-hosts, resolvConf: no-resolv.conf }}\n",
            self.address
        )
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says this about a name from now on.
    pub(crate) fn says(&self, name: &str, says: Says) {
        self.state
            .change(|state| state.answers.insert(name.to_owned(), says));
    }

    /// Says that a name has these addresses for so many seconds.
    pub(crate) fn knows(&self, name: &str, addresses: &[IpAddr], ttl: u32) {
        self.says(name, Says::Addresses(addresses.to_vec(), ttl));
    }

    /// The names it was asked for so far, each as often as it was.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.read(|state| state.asked.clone())
    }

    /// Waits until it has been asked so often for a name.
    pub(crate) fn wait_until_asked(&self, name: &str, count: usize) {
        let what = format!("{count} questions for {name}");
        self.state.wait_for(&what, |state| {
            let asked = state.asked.iter().filter(|asked| *asked == name).count();
            (asked >= count).then_some(())
        });
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let end = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        end.send_to(&[], self.address).unwrap();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
    }
}

fn serve(socket: &UdpSocket, state: &Watched<State>, is_over: &AtomicBool) {
    let mut packet = [0; 1_500];
    loop {
        let received = socket.recv_from(&mut packet);
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        // A client that has closed its socket makes an error of what was sent to it.
        let Ok((length, client)) = received else {
            continue;
        };
        let Some((name, kind, end)) = question(&packet[..length]) else {
            continue;
        };
        let says = state.change(|state| {
            state.asked.push(name.clone());
            let says = state.answers.get(&name);
            says.cloned().unwrap_or(Says::NoSuchName)
        });
        if let Some(answer) = answer(&packet[..end], kind, &says) {
            socket.send_to(&answer, client).ok();
        }
    }
}

/// The name in lower case, the type, and where the question ends (RFC 1035 §4.1.2).
fn question(packet: &[u8]) -> Option<(String, u16, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = packet.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?);
    Some((labels.join("."), kind, at + 4)).filter(|_| packet.len() >= at + 4)
}

/// The answer to the question at the beginning of this packet.
fn answer(asked: &[u8], kind: u16, says: &Says) -> Option<Vec<u8>> {
    let (code, addresses, ttl) = match says {
        Says::Addresses(addresses, ttl) => (0, addresses.as_slice(), *ttl),
        Says::NoSuchName => (3, &[][..], 0),
        Says::Failure => (2, &[][..], 0),
        Says::Nothing => return None,
    };
    let of_kind: Vec<&IpAddr> = addresses
        .iter()
        .filter(|address| match address {
            IpAddr::V4(_) => kind == TYPE_A,
            IpAddr::V6(_) => kind == TYPE_AAAA,
        })
        .collect();
    let mut answer = asked.to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    let count = u16::try_from(of_kind.len()).unwrap();
    answer[4..6].copy_from_slice(&1_u16.to_be_bytes());
    answer[6..8].copy_from_slice(&count.to_be_bytes());
    answer[8..12].fill(0);
    for address in of_kind {
        // The name of the question, its type, class IN.
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend(1_u16.to_be_bytes());
        answer.extend(ttl.to_be_bytes());
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        answer.extend(u16::try_from(octets.len()).unwrap().to_be_bytes());
        answer.extend(octets);
    }
    Some(answer)
}
