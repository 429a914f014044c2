//! The network device: the model's, and what the fuzzer has it do.
//!
//! Spec: §5.1.9.4 Processing of Incoming Packets. A lie about what a header, a length or an answer says leaves the driver nothing to do wrong; one about ids, indices or results makes it a different driver to the model, whose complaints do
//! not count from then on.

use std::collections::VecDeque;

use virtio_model::block::{Order, WrittenLen};
use virtio_model::mmio::MmioDevice;
use virtio_model::net::{Header, Nic, Packet, RawBuffer};
use virtio_test_hal::TestHal;

use crate::script::Script;

/// See the module's head.
pub(crate) struct Device {
    pub(crate) nic: Nic,
    pub(crate) registers: MmioDevice,
    /// Whether it has told no lie.
    pub(crate) is_honest: bool,
    /// Whether it has told one about ids, indices or results.
    pub(crate) is_forged: bool,
    /// Frames that arrive and must come out, one after the other, as long as it is honest.
    pub(crate) arriving: VecDeque<Vec<u8>>,
}

/// A length that is not what was written.
fn length(script: &mut Script) -> WrittenLen {
    let [kind, bytes] = [script.decision(), script.decision()];
    let bytes = u32::from(bytes);
    match kind % 4 {
        0 => WrittenLen::Honest,
        1 => WrittenLen::Less(bytes),
        2 => WrittenLen::More(bytes),
        _ => WrittenLen::Exactly(bytes * u32::from(kind)),
    }
}

fn word(script: &mut Script) -> u16 {
    u16::from_le_bytes([script.decision(), script.decision()])
}

/// A header that may say anything; most are of a kind that there is.
fn header(script: &mut Script) -> Header {
    let [flags, kind] = [script.decision(), script.decision()];
    let gso_type = match kind & 0xf {
        0..8 => 0,
        8..12 => [1, 3, 4, 5][usize::from(kind & 3)] | kind & 0xe0,
        _ => kind,
    };
    let mut small = || u16::from(script.decision());
    Header {
        flags,
        gso_type,
        hdr_len: small(),
        gso_size: small(),
        csum_start: small(),
        csum_offset: small(),
        hash_report: small(),
        outer_th_offset: small(),
        inner_nh_offset: small(),
        outer_nh_offset: small(),
        ..Header::default()
    }
}

impl Device {
    pub(crate) fn new(nic: Nic, registers: MmioDevice) -> Self {
        Self { nic, registers, is_honest: true, is_forged: false, arriving: VecDeque::new() }
    }

    /// A frame of so many bytes, each of which says where it is, and of which frame.
    fn frame(&self, len: usize) -> Vec<u8> {
        let number = self.arriving.len();
        (0..len).map(|at| (at + number) as u8).collect()
    }

    /// Does what a decision says; 0 is to do all the work that there is.
    pub(crate) fn act(&mut self, decision: u8, script: &mut Script, hal: &TestHal) {
        match decision {
            0..0x40 => self.serve(hal),
            0x40..0x50 => {}
            0x50..0x70 => {
                let frame =
                    self.frame(14 + usize::from(decision % 8) * 24 + usize::from(script.decision() / 4));
                self.nic.inject(Packet::new(frame.clone()).on(0));
                self.arriving.push_back(frame);
                self.serve(hal);
            }
            0x70..0x78 => self.nic.hold(),
            0x78..0x80 => self.nic.release_all(),
            0x80..0x84 => self.nic.complete_in(Order::Reverse),
            0x84..0x88 => self.nic.suppress_notifications(decision & 1 == 0),
            0x88..0x90 => self.nic.set_link(self.registers.device(), decision & 1 == 0),
            0x90..0x94 => self.nic.ask_for_announcement(self.registers.device()),
            _ => {
                self.is_honest = false;
                self.lie(decision, script, hal);
            }
        }
    }

    fn serve(&self, hal: &TestHal) {
        self.nic.serve(self.registers.device(), &hal.space);
    }

    fn lie(&mut self, decision: u8, script: &mut Script, hal: &TestHal) {
        match decision {
            // A header that says anything, of a frame that is as it should be.
            0x94..0xb0 => {
                let frame = self.frame(usize::from(script.decision()) + 8 * usize::from(decision % 8));
                self.nic.inject(Packet { header: header(script), ..Packet::new(frame).on(0) });
                self.serve(hal);
            }
            // Buffers with anything in them.
            0xb0..0xc0 => {
                let count = decision % 4 + 1;
                let buffers = (0..count).map(|_| self.raw_buffer(script)).collect();
                self.nic.inject_raw(0, buffers);
                self.serve(hal);
            }
            0xc0..0xd0 => self.nic.misbehave(|lies| match decision % 8 {
                0 => lies.num_buffers = Some(word(script)),
                1 => lies.written = length(script),
                2 => lies.written_later = length(script),
                3 => lies.transmit_written = length(script),
                _ => *lies = Default::default(),
            }),
            0xd0..0xe4 => self.nic.misbehave(|lies| match decision % 8 {
                0 => lies.ack = Some(script.decision()),
                1 => lies.skips_ack = true,
                2 => lies.command_written = length(script),
                3 => lies.ignores_commands = true,
                // What the driver learns from that is not what the model knows.
                4..6 => {
                    self.is_forged = true;
                    let bytes = script.decision() % 32;
                    lies.result = Some((0..bytes).map(|_| script.decision()).collect());
                }
                _ => *lies = Default::default(),
            }),
            // What it says of itself changes: the status, the speed.
            0xe4..0xec => {
                let [at, value] = [script.decision(), script.decision()];
                let at = [6, 7, 12, 13, 14, 15, 16, 7][usize::from(at) % 8];
                let mut config = self.registers.device().config();
                config[at] = value;
                self.registers.device().set_config(config);
            }
            0xec..0xf0 => self.registers.device().set_needs_reset(),
            _ => {
                self.is_forged = true;
                self.forge(decision, script, hal);
            }
        }
    }

    fn raw_buffer(&self, script: &mut Script) -> RawBuffer {
        let [bytes, filler, claims] = [(); 3].map(|()| script.decision());
        let mut bytes = vec![filler; bytes.into()];
        // Its first bytes, among which a number of buffers may be.
        for at in [0, 1, 10, 11] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = script.decision();
            }
        }
        let written = (claims & 1 == 0).then(|| u32::from(claims) * 16);
        RawBuffer { bytes, written }
    }

    /// Lies about ids and indices.
    fn forge(&self, decision: u8, script: &mut Script, hal: &TestHal) {
        let [place, id, len] = [(); 3].map(|()| word(script) % 64);
        match decision {
            0xf0..0xf4 => self.nic.misbehave(|lies| lies.receive_id = Some(id.into())),
            0xf4..0xf8 => self.nic.misbehave(|lies| lies.transmit_id = Some(id.into())),
            _ => {
                let device = self.registers.device();
                let _ = self.nic.with_queue(device, &hal.space, u16::from(decision % 3), |queue| {
                    if queue.is_packed() {
                        queue.packed().put_used(place % 16, id, len.into(), 0x8080)
                    } else if decision & 4 == 0 {
                        queue.split().set_used_idx(place)
                    } else {
                        queue.split().put_used_element(place, id.into(), len.into()).map(drop)
                    }
                });
            }
        }
    }
}
