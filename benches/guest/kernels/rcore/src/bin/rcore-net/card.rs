//! A card that rcore's driver has brought up, with its receive queue full; and what shows when its device is done.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use guest_measure::line::Failed;
use guest_measure::place;
use guest_measure::watch::Watch;
use guest_rcore::{Platform, buffer, open};
use pci_types::PciAddress;
use rcore::device::net::VirtIONetRaw;
use rcore::transport::pci::PciTransport;

/// Descriptors of each queue.
const QUEUE_SIZE: usize = 256;
/// Bytes of a buffer, header included.
const BUFFER_BYTES: usize = 2048;
/// Buffers besides those in the receive queue.
const SPARE: usize = 64;

/// Sent to everybody, with a type that is for experiments.
const HEADER: [u8; 14] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];

/// Memory that a frame is in, with the device's header before it.
pub type Buffer = &'static mut [u8];

/// Buffers that the device has, by token.
type InFlight = [Option<Buffer>; QUEUE_SIZE];

/// See the module's head.
pub struct Card {
    driver: VirtIONetRaw<Platform, PciTransport, QUEUE_SIZE>,
    receiving: InFlight,
    transmitting: InFlight,
    /// Buffers that the device does not have.
    pub spare: Vec<Buffer>,
    pub received: Watch,
    pub transmitted: Watch,
}

impl Card {
    /// Brings a card up. It is long, and so not on the stack.
    #[inline(never)]
    pub fn start(at: PciAddress) -> Result<Box<Self>, String> {
        let mut driver = VirtIONetRaw::new(open(at)?).map_err(|error| error.to_string())?;
        driver.disable_interrupts();
        let watch = |queue| place::of(at, queue).map(|place| Watch::new(place, false, 1));
        let mut card = Box::new(Self {
            driver,
            receiving: [const { None }; QUEUE_SIZE],
            transmitting: [const { None }; QUEUE_SIZE],
            spare: (0..SPARE).map(|_| buffer(BUFFER_BYTES)).collect(),
            received: watch(0)?,
            transmitted: watch(1)?,
        });
        for _ in 0..QUEUE_SIZE {
            card.begin_to_receive(buffer(BUFFER_BYTES)).map_err(|Failed(what)| what)?;
        }
        Ok(card)
    }

    /// Hands an empty buffer to the device.
    #[inline]
    pub fn begin_to_receive(&mut self, buffer: Buffer) -> Result<(), Failed> {
        // SAFETY: nobody has the buffer until it is received.
        let token = unsafe { self.driver.receive_begin(buffer) };
        let token = token.map_err(|_| Failed("a buffer was refused"))?;
        *self.receiving.get_mut(usize::from(token)).ok_or(Failed("the token is none"))? = Some(buffer);
        Ok(())
    }

    /// Takes a frame, and says how many bytes it has with its header.
    #[inline]
    pub fn receive(&mut self) -> Result<Option<(Buffer, usize)>, Failed> {
        let Some(token) = self.driver.poll_receive() else { return Ok(None) };
        let buffer = self.receiving.get_mut(usize::from(token)).and_then(Option::take);
        let buffer = buffer.ok_or(Failed("the token is none"))?;
        // SAFETY: the buffer that was handed in under this token.
        let lengths = unsafe { self.driver.receive_complete(token, buffer) };
        let (header, packet) = lengths.map_err(|_| Failed("a frame could not be received"))?;
        Ok(Some((buffer, header + packet)))
    }

    /// Writes the device's header, for a frame that is to be transmitted.
    #[inline]
    pub fn fill_header(&self, buffer: &mut [u8]) -> Result<usize, Failed> {
        self.driver.fill_buffer_header(buffer).map_err(|_| Failed("a buffer is too short for a header"))
    }

    /// Hands a frame, of so many bytes with its header, to the device.
    #[inline]
    pub fn begin_to_transmit(&mut self, buffer: Buffer, bytes: usize) -> Result<(), Failed> {
        let frame = buffer.get(..bytes).ok_or(Failed("the frame is longer than its buffer"))?;
        // SAFETY: nobody has the buffer until it is transmitted.
        let token = unsafe { self.driver.transmit_begin(frame) };
        let token = token.map_err(|_| Failed("a frame was refused"))?;
        *self.transmitting.get_mut(usize::from(token)).ok_or(Failed("the token is none"))? = Some(buffer);
        Ok(())
    }

    /// Takes back the buffers that were transmitted, all with frames of so many bytes, and says how many.
    #[inline]
    pub fn take_transmitted(&mut self, bytes: usize) -> Result<usize, Failed> {
        let mut count = 0;
        while let Some(token) = self.driver.poll_transmit() {
            let buffer = self.transmitting.get_mut(usize::from(token)).and_then(Option::take);
            let buffer = buffer.ok_or(Failed("the token is none"))?;
            let frame = buffer.get(..bytes).ok_or(Failed("the frame is longer than its buffer"))?;
            // SAFETY: the buffer that was handed in under this token.
            let taken = unsafe { self.driver.transmit_complete(token, frame) };
            taken.map_err(|_| Failed("a frame could not be taken back"))?;
            self.spare.push(buffer);
            count += 1;
        }
        Ok(count)
    }

    /// A frame of this length, ready to be transmitted; and its length with the header.
    pub fn frame(&mut self, bytes: usize) -> Result<(Buffer, usize), Failed> {
        let buffer = self.spare.pop().ok_or(Failed("all buffers are out"))?;
        let header = self.fill_header(buffer)?;
        let place = buffer.get_mut(header..header + HEADER.len()).ok_or(Failed("the buffer is too short"))?;
        place.copy_from_slice(&HEADER);
        Ok((buffer, header + bytes))
    }
}
