//! What a back-end is told, when, and with what: all of it written down by one that follows a script.

#[path = "support/script.rs"]
mod script;
mod support;

use script::request::*;
use script::{CARD, DISK, Message, Script, Scripted};
use support::{memory, patience, polled};
use virtio_guest::device::block::{Block, Storage};
use virtio_guest::device::net::{ControlSlots, FramePool, Net, PairSlots, PoolSettings, Slots};
use virtio_guest::raw::PoolEntries;
use virtio_guest::transport::Transport;
use virtio_guest::wire::device_type::DeviceType;
use virtio_user::memory::SharedMemory;
use virtio_user::{Settings, VhostUser};

/// What a back-end is asked first, if it has everything and plays a disk.
const HANDSHAKE: [u32; 7] = [
    GET_FEATURES,
    GET_PROTOCOL_FEATURES,
    SET_PROTOCOL_FEATURES,
    SET_OWNER,
    SET_BACKEND_REQ_FD,
    GET_QUEUE_NUM,
    GET_CONFIG,
];
/// The way up with one queue, and down again.
const LIFE: [u32; 11] = [
    SET_FEATURES,
    SET_MEM_TABLE,
    SET_VRING_NUM,
    SET_VRING_BASE,
    SET_VRING_ADDR,
    SET_VRING_CALL,
    SET_VRING_KICK,
    SET_VRING_ENABLE,
    SET_VRING_ENABLE,
    GET_VRING_BASE,
    RESET_DEVICE,
];

/// Brings a disk up and down again.
fn live(transport: &mut VhostUser, memory: &SharedMemory) {
    let mut storage = Storage::<16>::new();
    let disk = Block::start(transport, memory.hal(), &mut storage, patience()).expect("it comes up");
    disk.close(patience()).expect("it lets itself be reset");
}

fn disk(back_end: &Scripted, memory: &SharedMemory) -> VhostUser {
    VhostUser::connect(back_end.socket(), DeviceType::BLOCK, memory, &polled()).expect("a disk")
}

/// Brings a card up and down again, and gives back what its back-end was told.
fn card(
    script: Script,
    settings: &Settings,
    look: impl FnOnce(&Net<'_, &mut VhostUser, virtio_user::memory::SharedHal>),
) -> Scripted {
    let back_end = Scripted::start(script);
    let memory = memory();
    let mut transport =
        VhostUser::connect(back_end.socket(), DeviceType::NETWORK, &memory, settings).expect("a card");
    let pool =
        FramePool::new(&memory.hal(), PoolEntries::allocate(64), PoolSettings::default()).expect("room");
    let slots = Slots { pair: PairSlots::allocate(16), control: ControlSlots::allocate(16) };
    let supply = pool.supply().expect("nobody else has it");
    let net = Net::start(&mut transport, memory.hal(), slots, supply, patience()).expect("it comes up");
    look(&net);
    net.close(patience()).expect("it lets itself be reset");
    back_end
}

/// The words of a message: 64 bits each.
fn words(message: &Message) -> Vec<u64> {
    message.payload.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().expect("whole words"))).collect()
}

/// The numbers of a message: 32 bits each.
fn numbers(message: &Message) -> Vec<u32> {
    message.payload.chunks(4).map(|number| u32::from_ne_bytes(number.try_into().expect("whole"))).collect()
}

/// The first message of a kind.
fn first(came: &[Message], request: u32) -> Message {
    came.iter().find(|message| message.request == request).expect("it came").clone()
}

#[test]
fn a_life_is_told_in_the_protocols_order_and_again_on_the_same_connection() {
    let back_end = Scripted::start(Script::honest(DISK));
    let memory = memory();
    let mut disk = disk(&back_end, &memory);

    live(&mut disk, &memory);
    live(&mut disk, &memory);

    // The space that it has is a shorter one than is asked for first.
    let handshake = [&HANDSHAKE[..], &[GET_CONFIG]].concat();
    assert_eq!(back_end.requests(), [&handshake[..], &LIFE, &LIFE].concat());
}

#[test]
fn only_what_is_handled_is_agreed_on() {
    let back_end = Scripted::start(Script::honest(DISK | 1 << 26 | 1 << 33));
    let memory = memory();

    live(&mut disk(&back_end, &memory), &memory);

    let came = back_end.came();
    let protocol = 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 13;
    assert_eq!(words(&first(&came, SET_PROTOCOL_FEATURES)), [protocol]);
    // Neither the list of what is written (26), nor an IOMMU (33).
    assert_eq!(words(&first(&came, SET_FEATURES)), [DISK]);
}

#[test]
fn the_memory_is_told_by_its_address_here_and_queues_are_inside() {
    let back_end = Scripted::start(Script::honest(DISK));
    let memory = memory();
    let (address, bytes) = (memory.region().address, memory.region().bytes);

    live(&mut disk(&back_end, &memory), &memory);

    let came = back_end.came();
    let table = first(&came, SET_MEM_TABLE);
    assert_eq!((words(&table), table.files), (vec![1, address, bytes, address, 0], 1));
    let place = words(&first(&came, SET_VRING_ADDR));
    assert_eq!((place[0], place[4]), (0, 0), "queue 0, no flags; no log");
    assert!(place[1..4].iter().all(|area| (address..address + bytes).contains(area)), "{place:x?}");
    assert_eq!(numbers(&first(&came, SET_VRING_NUM)), [0, 16]);
    assert_eq!(numbers(&first(&came, SET_VRING_BASE)), [0, 0]);
    for request in [SET_VRING_CALL, SET_VRING_KICK] {
        assert_eq!((words(&first(&came, request)), first(&came, request).files), (vec![0], 1));
    }
    let enabled: Vec<_> =
        came.iter().filter(|message| message.request == SET_VRING_ENABLE).map(numbers).collect();
    assert_eq!(enabled, [[0, 1], [0, 0]]);
}

#[test]
fn a_packed_ring_begins_with_both_wrap_counters_set() {
    let back_end = Scripted::start(Script::honest(DISK | 1 << 34));
    let memory = memory();

    live(&mut disk(&back_end, &memory), &memory);

    assert_eq!(numbers(&first(&back_end.came(), SET_VRING_BASE)), [0, 0x8000_8000]);
}

#[test]
fn a_card_has_the_address_and_the_longest_packet_of_the_settings_and_says_the_latter_to_its_back_end() {
    let settings = Settings { mac: Some([2, 0, 0, 0, 0, 9]), mtu: Some(1400), ..polled() };

    let back_end = card(Script::honest(CARD), &settings, |net| {
        assert_eq!(net.mac(), [2, 0, 0, 0, 0, 9]);
        assert_eq!(net.mtu(), Some(1400));
    });

    assert_eq!(words(&first(&back_end.came(), NET_SET_MTU)), [1400]);
    assert!(!back_end.requests().contains(&GET_CONFIG), "a card's configuration is made here");
}

#[test]
fn a_back_end_that_does_not_want_to_know_the_longest_packet_is_not_told() {
    let script = Script::honest(CARD);
    let settings = Settings { mtu: Some(1400), ..polled() };

    let back_end = card(Script { protocol: script.protocol & !(1 << 4), ..script }, &settings, |net| {
        assert_eq!(net.mtu(), Some(1400));
    });

    assert!(!back_end.requests().contains(&NET_SET_MTU));
}

#[test]
fn a_card_without_settings_has_no_longest_packet() {
    let back_end = card(Script::honest(CARD), &polled(), |net| assert_eq!(net.mtu(), None));

    assert!(!back_end.requests().contains(&NET_SET_MTU));
}

#[test]
fn an_old_back_end_is_asked_nothing_that_it_does_not_know() {
    let back_end = card(Script::honest(CARD & !(1 << 30)), &polled(), |_| {});

    let requests = back_end.requests();
    assert_eq!(requests[..4], [GET_FEATURES, SET_OWNER, SET_FEATURES, SET_MEM_TABLE]);
    assert!(requests.iter().all(|request| *request <= SET_VRING_CALL), "{requests:?}");
    assert_eq!(words(&first(&back_end.came(), SET_FEATURES))[0] & 1 << 30, 0);
}

#[test]
fn no_queue_is_offered_that_a_message_cannot_name() {
    for (features, device_type) in [(DISK, DeviceType::BLOCK), (CARD, DeviceType::NETWORK)] {
        let back_end = Scripted::start(Script { queues: 1000, ..Script::honest(features) });
        let mut transport =
            VhostUser::connect(back_end.socket(), device_type, &memory(), &polled()).expect("it is there");

        // Bit 8 of the number says that there is no file.
        let sizes = [255, 256].map(|queue| transport.queue_size_max(queue));
        assert!(sizes[0] > 0 && sizes[1] == 0, "{sizes:?}");
    }
}
