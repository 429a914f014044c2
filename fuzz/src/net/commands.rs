//! Commands with any arguments, to a device that answers as it likes.
//!
//! Spec: §5.1.9.5 Control Virtqueue. What the driver must not send is refused before the device is asked: the model sees to that. What an honest device has done is what it was asked for.

use virtio_guest::device::net::{
    Coalescing, Control, ControlError, GuestOffloads, HashTypes, RssConfig, StatisticsTypes, TunnelTypes,
};
use virtio_model::net::Steering;
use virtio_test_hal::TestHal;

use super::bring_up::{Receive, Transmit, Way};
use super::world::{act, detail, is_honest, patience, step, with, word};

type Controller<'s> = Control<'s, Way, TestHal>;

/// Looks of a call.
const LOOKS: usize = 3;

/// What the device was told.
fn settings() -> virtio_model::net::Settings {
    with(|world| world.device.nic.settings())
}

/// Judges how a command ended; says whether the device has done what it was asked for.
fn is_done<T>(result: &Result<T, ControlError>) -> bool {
    if let Err(error) = result {
        let is_lie =
            matches!(error, ControlError::Refused | ControlError::BadAnswer | ControlError::Broken(_));
        assert!(!is_lie || !is_honest(), "an honest device: {error}");
    }
    result.is_ok() && is_honest()
}

/// Lives on until the script is over, then resets the device.
pub(crate) fn run<'s>(mut control: Controller<'s>, queues: Vec<(Receive<'s>, Transmit<'s>)>) {
    while let Some(step) = step() {
        match step % 16 {
            0 | 1 => modes(&mut control),
            2 => addresses(&mut control),
            3 => {
                let vlan = word();
                let added = control.add_vlan(vlan, patience(LOOKS));
                assert!(!is_done(&added) || settings().vlans.contains(&vlan), "VLAN {vlan}");
                let removed = control.remove_vlan(word(), patience(LOOKS));
                is_done(&removed);
            }
            4 => drop(control.acknowledge_announce(patience(LOOKS))),
            5 => {
                let pairs = word() % 4;
                let set = control.set_pairs(pairs, patience(LOOKS));
                assert!(!is_done(&set) || settings().steering == Steering::Automatic { pairs }, "{pairs}");
            }
            6 => steering(&mut control, false),
            7 => steering(&mut control, true),
            8 => hashes(&mut control),
            9 => {
                let offloads = u64::from(word()) | u64::from(word()) << 40;
                let offloads = GuestOffloads::from_bits_retain(offloads);
                is_done(&control.set_guest_offloads(offloads, patience(LOOKS)));
            }
            10 => coalescing(&mut control),
            11 => statistics(&mut control),
            12 => says(&control),
            13 => contexts(&mut control),
            _ => act(),
        }
    }
    let down = control.take_down(patience(6)).unwrap_or_else(|failed| panic!("{failed}"));
    for (receive, transmit) in queues {
        assert!(transmit.reclaim(&down.reset).is_ok() && receive.reclaim(&down.reset).is_ok());
    }
}

fn modes(control: &mut Controller<'_>) {
    let kind = detail();
    let on = kind & 0x80 != 0;
    let (result, mode): (_, fn(&virtio_model::net::ReceiveModes) -> bool) = match kind % 6 {
        0 => (control.set_promiscuous(on, patience(LOOKS)), |modes| modes.promiscuous),
        1 => (control.set_all_multicast(on, patience(LOOKS)), |modes| modes.all_multicast),
        2 => (control.set_all_unicast(on, patience(LOOKS)), |modes| modes.all_unicast),
        3 => (control.set_no_multicast(on, patience(LOOKS)), |modes| modes.no_multicast),
        4 => (control.set_no_unicast(on, patience(LOOKS)), |modes| modes.no_unicast),
        _ => (control.set_no_broadcast(on, patience(LOOKS)), |modes| modes.no_broadcast),
    };
    assert!(!is_done(&result) || mode(&settings().modes) == on, "mode {}", kind % 6);
}

fn addresses(control: &mut Controller<'_>) {
    let [unicast, multicast, first] = [(); 3].map(|()| detail());
    let table = |count: u8, first: u8| vec![[first, 0, 0, 0, 0, count]; usize::from(count % 32)];
    let (unicast, multicast) = (table(unicast, first & 0xf0), table(multicast, first | 1));
    let set = control.set_mac_table(&unicast, &multicast, patience(LOOKS));
    if is_done(&set) {
        let settings = settings();
        assert_eq!((settings.unicast, settings.multicast), (unicast, multicast));
    }
    let address = [first, 1, 2, 3, 4, 5];
    let before = control.mac();
    let set = control.set_mac(address, patience(LOOKS));
    is_done(&set);
    assert!(control.mac() == if set.is_ok() { address } else { before } || !is_honest());
}

/// A configuration of steering that the script makes up, for `work`.
fn with_config<R>(work: impl FnOnce(&RssConfig<'_>) -> R) -> R {
    let [types, entries, pairs, key] = [(); 4].map(|()| detail());
    let entries = if entries < 0x80 { 1 << (entries % 9) } else { usize::from(entries) };
    let table = vec![u16::from(pairs & 3); entries];
    let key = vec![key; usize::from(key % 64)];
    work(&RssConfig {
        hash_types: HashTypes::from_bits_retain(types.into()),
        table: &table,
        unclassified_queue: u16::from(pairs >> 2 & 3),
        max_transmit_queues: u16::from(pairs >> 4 & 3),
        key: &key,
    })
}

fn steering(control: &mut Controller<'_>, only_hashes: bool) {
    with_config(|config| {
        if only_hashes {
            is_done(&control.set_hash(config.hash_types, config.key, patience(LOOKS)));
            return;
        }
        if is_done(&control.set_rss(config, patience(LOOKS))) {
            let Steering::Rss(set) = settings().steering else { panic!("steering was set") };
            assert_eq!((&set.table[..], &set.key[..]), (config.table, config.key));
        }
    });
}

fn hashes(control: &mut Controller<'_>) {
    let tunnels = u32::from(word());
    let set = control.set_hash_tunnels(TunnelTypes::from_bits_retain(tunnels), patience(LOOKS));
    assert!(!is_done(&set) || settings().hash.tunnels == tunnels, "tunnels {tunnels:#x}");
}

fn contexts(control: &mut Controller<'_>) {
    let kind = detail();
    let id = u16::from(kind >> 2 & 7);
    // A context that there is, or is not, is the device's to refuse.
    let result = match kind % 4 {
        0 => control.rss_contexts_max(patience(LOOKS)).map(drop),
        1 => with_config(|config| control.add_rss_context(id, config, patience(LOOKS))),
        2 => with_config(|config| control.change_rss_context(id, config, patience(LOOKS))),
        _ => control.remove_rss_context(id, patience(LOOKS)),
    };
    if result != Err(ControlError::Refused) {
        is_done(&result);
    }
}

fn coalescing(control: &mut Controller<'_>) {
    let [kind, packets, micros] = [(); 3].map(|()| detail());
    let coalescing = Coalescing { max_packets: packets.into(), max_microseconds: micros.into() };
    let queue = u16::from(kind >> 2 & 7);
    match kind % 4 {
        0 => drop(is_done(&control.set_receive_coalescing(coalescing, patience(LOOKS)))),
        1 => drop(is_done(&control.set_transmit_coalescing(coalescing, patience(LOOKS)))),
        2 => drop(is_done(&control.set_queue_coalescing(queue, coalescing, patience(LOOKS)))),
        _ => {
            let told = control.queue_coalescing(queue, patience(LOOKS));
            if is_done(&told) {
                let is = settings().coalescing_of(queue);
                let told = told.map(|told| (told.max_packets, told.max_microseconds));
                assert_eq!(told, Ok((is.max_packets, is.max_usecs)));
            }
        }
    }
}

fn statistics(control: &mut Controller<'_>) {
    is_done(&control.statistics_supported(patience(LOOKS)));
    let (queue, types) = (u16::from(detail() % 8), u64::from(word()) | u64::from(word()) << 16);
    let types = StatisticsTypes::from_bits_retain(types);
    is_done(&control.statistics(queue, types, patience(LOOKS)));
}

/// Asks all that the device says of itself.
fn says(control: &Controller<'_>) {
    let _ = (control.condition(), control.speed(), control.duplex(), control.hash_limits());
    assert!(control.pairs_max() >= 1, "a device has a pair");
    let link = control.link();
    if is_honest() {
        let is_up = with(|world| world.device.nic.config().status & 1 != 0);
        assert_eq!(link.map(|link| link.is_up), Ok(is_up));
    }
}
