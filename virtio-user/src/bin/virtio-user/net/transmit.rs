//! `virtio-user net transmit`: numbered frames.
//!
//! As fast as the back-end takes them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use virtio_guest::device::net::{MacAddress, TransmitError};

use super::numbered::Maker;
use super::taken::Taken;
use super::{BURST, OfCard, Rate, address, pool, pools};
use crate::connection::seconds;
use crate::failure::Failure;
use crate::progress::again;

/// How long the back-end may take for what is in the ring at the end.
const END_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub struct Options {
    /// The back-end's socket
    socket: PathBuf,
    /// To whom
    #[arg(long, value_name = "ADDRESS", default_value = "ff:ff:ff:ff:ff:ff", value_parser = address)]
    to: MacAddress,
    /// How many frames (without: until the time is over)
    #[arg(long, value_name = "FRAMES")]
    count: Option<u64>,
    /// How long (without, and without a number of frames: until it is ended)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,
    /// Bytes of each frame, without its check sequence
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u16).range(30..=1514))]
    bytes: u16,
    #[command(flatten)]
    card: OfCard,
}

pub fn run(options: &Options) -> Result<(), Failure> {
    let Options { socket, to, count, seconds, bytes, card: settings } = options;
    let memory = settings.connection.memory()?;
    let (receive, transmit) = (pools(&memory, settings.connection.queues)?, pool(&memory)?);
    let mac = settings.address();
    let mut card = settings.connect(socket, &memory, &receive, mac)?;
    let mut supply = transmit.supply().ok_or_else(|| Failure::new("the frames are somebody else's"))?;
    let mut maker = Maker::new(mac, *to, usize::from(*bytes));
    let mut rate = Rate::new("transmitted");
    let (end, pairs) = (count.unwrap_or(u64::MAX), card.pairs());
    let (mut next, mut pair, mut taken) = (0, 0, Taken::new(&card));
    while next < end && !rate.is_over(next, *seconds) {
        let numbers = (next..end).take(BURST);
        let mut frames = numbers.map_while(|number| maker.make(number, &mut supply));
        let (transmitted, is_full) = match card.transmit_burst(pair, &mut frames) {
            Ok(transmitted) => (transmitted, transmitted == 0),
            Err(burst) if burst.refused.error == TransmitError::Full => (burst.transmitted, true),
            Err(burst) => return Err(Failure::new(format_args!("frame {next}: {}", burst.refused.error))),
        };
        next += transmitted as u64;
        taken.give(pair, transmitted);
        pair = (pair + 1) % pairs;
        if is_full {
            // What was taken comes back; and if the back-end went, another one may be there.
            card.tend()?;
            taken.look(&mut card)?;
        }
    }
    taken.wait(&mut card)?;
    let said = rate.total(next);
    let restarts = card.restarts();
    let left = card.close(END_LIMIT)?;
    println!("{said}, {} lost{}", left.lost, again(restarts));
    Ok(())
}
