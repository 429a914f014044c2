//! What the host asks for in frames to port 9: a word, and what it is about.
//!
//! ```text
//!   features | link | mac | mtu | pairs | speed | received        what the card says, or has received
//!   promiscuous | all-multicast | all-unicast | no-multicast | no-unicast | no-broadcast    on | off
//!   table MAC,… MAC,…       addresses of one, and of groups; `-` for none
//!   set-mac MAC  |  vlan add N  |  vlan remove N  |  set-pairs N  |  offloads NAME,…
//!   rss TYPES UNCLASSIFIED TRANSMIT KEY QUEUE,…    hash types and key in hexadecimal
//!   hash TYPES KEY
//!   send tcp4|tcp6|udp4|udp6 BYTES SIZE     a packet of that many bytes, cut by the card; SIZE 0: not cut, its checksum is the card's
//!   nothing | end
//! ```
//!
//! The answer is what was asked for, `ok`, or why not.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use virtio_guest::device::net::{Checksum, Offload, RssConfig, Segmentation, SegmentationKind};
use virtio_guest::wire::net::HashTypes;

use crate::card::{Card, LIMIT_MILLIS, Pair};
use crate::frames::{Packet, Transport, Version};
use crate::mac;
use crate::pattern::fill;

/// What comes after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More.
    GoOn,
    /// Nothing.
    End,
}

/// The sequence number of the first byte that is sent.
const SEQUENCE: u32 = 1000;

/// Does what a packet says, and answers.
pub fn execute(card: &mut Card, pair: &mut Pair, packet: &Packet) -> Result<Next, String> {
    let line = String::from_utf8_lossy(&packet.payload).into_owned();
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let result = match words.as_slice() {
        ["received"] => Ok(pair.receive.counts().frames.to_string()),
        ["send", kind, bytes, size] => send(pair, packet, kind, bytes, size),
        words => command(card, words),
    };
    let said = result.unwrap_or_else(|error| alloc::format!("error: {error}"));
    pair.answer(packet, said)?;
    Ok(if line == "end" { Next::End } else { Next::GoOn })
}

fn parsed<N: core::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| alloc::format!("{text} is no number here"))
}

fn hexadecimal(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 16).map_err(|error| error.to_string())
}

fn key(text: &str) -> Result<Vec<u8>, String> {
    let pairs = text.as_bytes().chunks(2).map(|pair| core::str::from_utf8(pair).unwrap_or_default());
    pairs.map(|pair| u8::from_str_radix(pair, 16).map_err(|error| error.to_string())).collect()
}

/// Several, with commas between them; `-` for none.
fn list<R>(text: &str, one: impl Fn(&str) -> Result<R, String>) -> Result<Vec<R>, String> {
    if text == "-" { Ok(Vec::new()) } else { text.split(',').map(one).collect() }
}

/// A command to the card, or a question about it.
fn command(card: &mut Card, words: &[&str]) -> Result<String, String> {
    let patience = card.wiring.patience(LIMIT_MILLIS);
    let control = &mut card.control;
    let on = words.get(1) == Some(&"on");
    let done = match *words {
        ["features"] => return Ok(alloc::format!("{:?}", control.features())),
        ["link"] => {
            return control.link().map(|link| alloc::format!("{link:?}")).map_err(|error| error.to_string());
        }
        ["mac"] => return Ok(alloc::format!("{:02x?}", control.mac())),
        ["mtu"] => return Ok(alloc::format!("{:?}", control.mtu())),
        ["pairs"] => return Ok(control.pairs_max().to_string()),
        ["speed"] => return Ok(alloc::format!("{:?} {:?}", control.speed(), control.duplex())),
        ["end" | "nothing"] => Ok(()),
        ["promiscuous", _] => control.set_promiscuous(on, patience),
        ["all-multicast", _] => control.set_all_multicast(on, patience),
        ["all-unicast", _] => control.set_all_unicast(on, patience),
        ["no-multicast", _] => control.set_no_multicast(on, patience),
        ["no-unicast", _] => control.set_no_unicast(on, patience),
        ["no-broadcast", _] => control.set_no_broadcast(on, patience),
        ["table", unicast, multicast] => {
            control.set_mac_table(&list(unicast, mac)?, &list(multicast, mac)?, patience)
        }
        ["set-mac", address] => control.set_mac(mac(address)?, patience),
        ["vlan", "add", id] => control.add_vlan(parsed(id)?, patience),
        ["vlan", "remove", id] => control.remove_vlan(parsed(id)?, patience),
        ["set-pairs", pairs] => control.set_pairs(parsed(pairs)?, patience),
        ["rss", types, unclassified, transmit, key_text, queues] => {
            let (table, key) = (list(queues, parsed::<u16>)?, key(key_text)?);
            let config = RssConfig {
                hash_types: HashTypes::from_bits_retain(hexadecimal(types)?),
                table: &table,
                unclassified_queue: parsed(unclassified)?,
                max_transmit_queues: parsed(transmit)?,
                key: &key,
            };
            control.set_rss(&config, patience)
        }
        ["hash", types, key_text] => {
            control.set_hash(HashTypes::from_bits_retain(hexadecimal(types)?), &key(key_text)?, patience)
        }
        _ => return Err(alloc::format!("{words:?} is not known")),
    };
    done.map(|()| "ok".into()).map_err(|error| error.to_string())
}

/// Sends a packet to whoever asked, with its checksum and, if it is to be cut, its segmentation left to the card.
fn send(pair: &mut Pair, asked: &Packet, kind: &str, bytes: &str, size: &str) -> Result<String, String> {
    let (version, transport, cut) = match kind {
        "tcp4" => (Version::V4, Transport::Tcp { sequence: SEQUENCE }, SegmentationKind::Tcp4),
        "tcp6" => (Version::V6, Transport::Tcp { sequence: SEQUENCE }, SegmentationKind::Tcp6),
        "udp4" => (Version::V4, Transport::Udp, SegmentationKind::Udp),
        "udp6" => (Version::V6, Transport::Udp, SegmentationKind::Udp),
        other => return Err(alloc::format!("{other} is not known")),
    };
    let mut payload = alloc::vec![0; parsed(bytes)?];
    fill(1, 1, &mut payload);
    // Its own port tells it from the answer.
    let ports = (asked.ports.1 + 1, asked.ports.0);
    let packet = Packet { version, transport, ports, ..asked.answer(payload) };
    let (frame, unfinished) = packet.unfinished();
    let checksum = Checksum::Partial { start: unfinished.start, offset: unfinished.offset };
    let mut offload = Offload::default().with_checksum(checksum);
    let size = parsed(size)?;
    if size > 0 {
        let header_len = unfinished.header_len;
        offload = offload.with_segmentation(Segmentation { kind: cut, ecn: false, size, header_len });
    }
    pair.send_bytes(&frame, offload)?;
    Ok("ok".into())
}
