//! A name server that says what it is told to: addresses with a TTL, that there is no such name, that it failed, or
//! nothing at all. It keeps what it was asked. Over UDP it gives no more than fits into 512 octets, over TCP all.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::wait::{DEADLINE, Watched};

/// A running name server; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Dns {
    address: SocketAddr,
    state: Arc<Watched<State>>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
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

/// RFC 1035 §2.3.4.
const MOST_OVER_UDP: usize = 512;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

impl Dns {
    /// Starts one that knows no name.
    pub(crate) fn start() -> Self {
        let (socket, listener) = on_one_port();
        let address = socket.local_addr().unwrap();
        let state = Arc::new(Watched::new(State::default()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (own, over) = (Arc::clone(&state), Arc::clone(&is_over));
        let udp = thread::spawn(move || serve(&socket, &own, &over));
        let (own, over) = (Arc::clone(&state), Arc::clone(&is_over));
        let tcp = thread::spawn(move || serve_streams(&listener, &own, &over));
        Self {
            address,
            state,
            is_over,
            threads: vec![udp, tcp],
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
        drop(TcpStream::connect(self.address));
        let ended: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
        assert!(thread::panicking() || ended.iter().all(Result::is_ok));
    }
}

/// A socket of each kind on one port, as name servers have them.
fn on_one_port() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()) {
            return (socket, listener);
        }
    }
    panic!("no port is free for both UDP and TCP");
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
        if let Some(mut answer) = heard(&packet[..length], state) {
            if answer.len() > MOST_OVER_UDP {
                // The head and the question alone, with the bit that says that more was cut off.
                answer.truncate(length);
                answer[2] |= 2;
                answer[6..8].fill(0);
            }
            socket.send_to(&answer, client).ok();
        }
    }
}

/// One question a connection, each behind its length (RFC 1035 §4.2.2).
fn serve_streams(listener: &TcpListener, state: &Watched<State>, is_over: &AtomicBool) {
    for stream in listener.incoming() {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut stream) = stream else { continue };
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            continue;
        }
        let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut packet).is_err() {
            continue;
        }
        if let Some(answer) = heard(&packet, state) {
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length[..], &answer].concat()).ok();
        }
    }
}

/// Keeps what is asked in this packet, and gives what is said to it.
fn heard(packet: &[u8], state: &Watched<State>) -> Option<Vec<u8>> {
    let (name, kind, end) = question(packet)?;
    let says = state.change(|state| {
        state.asked.push(name.clone());
        let says = state.answers.get(&name);
        says.cloned().unwrap_or(Says::NoSuchName)
    });
    answer(&packet[..end], kind, &says)
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
