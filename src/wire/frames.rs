//! The heads of HTTP/2 frames in a flow of octets (RFC 9113 §4.1), found without looking into any frame; for both sides,
//! each of which makes of them what it has to know.

/// The preface that a client sends before its first frame (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// What a frame is (RFC 9113 §6); others carry no meaning here.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// The flags of a frame that ends its stream, of one that acknowledges, and of one that ends a header block.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

const OCTETS: usize = 9;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) length: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

/// Follows one direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// Octets until the next head.
    skip: usize,
    head: [u8; OCTETS],
    /// How much of the head is here.
    begun: usize,
}

impl Scanner {
    /// The direction in which the preface goes first.
    pub(crate) fn behind_the_preface() -> Self {
        Self {
            skip: PREFACE,
            ..Self::default()
        }
    }

    /// The next head that is whole with these octets, which are taken up to its end.
    pub(crate) fn next(&mut self, octets: &mut &[u8]) -> Option<Head> {
        let skipped = self.skip.min(octets.len());
        self.skip -= skipped;
        *octets = &octets[skipped..];
        let here = (OCTETS - self.begun).min(octets.len());
        self.head[self.begun..self.begun + here].copy_from_slice(&octets[..here]);
        self.begun += here;
        *octets = &octets[here..];
        if self.begun < OCTETS {
            return None;
        }
        self.begun = 0;
        let head = Head::of(self.head);
        self.skip = head.length as usize;
        Some(head)
    }

    /// Goes over these octets and tells each head that is whole with them.
    pub(crate) fn scan<E>(
        &mut self,
        mut octets: &[u8],
        mut each: impl FnMut(Head) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(head) = self.next(&mut octets) {
            each(head)?;
        }
        Ok(())
    }
}

impl Head {
    fn of(octets: [u8; OCTETS]) -> Self {
        let [a, b, c, kind, flags, d, e, f, g] = octets;
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            // The first bit is reserved and to be ignored.
            stream: u32::from_be_bytes([d & 0x7f, e, f, g]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn octets(head: Head) -> Vec<u8> {
        let mut octets = head.length.to_be_bytes()[1..].to_vec();
        octets.extend([head.kind, head.flags]);
        octets.extend(head.stream.to_be_bytes());
        // Payload that looks like heads.
        octets.resize(octets.len() + head.length as usize, 1);
        octets
    }

    proptest! {
        #[test]
        fn the_heads_are_the_same_wherever_the_octets_are_cut(
            frames in prop::collection::vec((0_u32..40, any::<u8>(), any::<u8>(), 0_u32..0x7fff_ffff), 0..12),
            cuts in prop::collection::vec(1_usize..30, 1..20),
            preface in any::<bool>(),
        ) {
            let heads: Vec<Head> = frames
                .into_iter()
                .map(|(length, kind, flags, stream)| Head { length, kind, flags, stream })
                .collect();
            let mut all: Vec<u8> = heads.iter().copied().flat_map(octets).collect();
            let mut scanner = Scanner::default();
            if preface {
                all.splice(0..0, *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
                scanner = Scanner::behind_the_preface();
            }
            let (mut found, mut rest, mut cuts) = (Vec::new(), &all[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                scanner
                    .scan(piece, |head| { found.push(head); Ok::<_, Infallible>(()) })
                    .unwrap();
                rest = behind;
            }
            prop_assert_eq!(found, heads);
        }
    }
}
