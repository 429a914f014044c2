//! `virtio-user net forward`: a wire between two ports.
//!
//! Frames are not copied: both back-ends share one memory.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use virtio_user::session::Card;

use super::{BURST, OfCard, Rate, pools};
use crate::connection::seconds;
use crate::failure::Failure;
use crate::progress::again;

#[derive(Debug, Args)]
pub struct Options {
    /// The socket of one port
    one: PathBuf,
    /// The socket of the other port
    other: PathBuf,
    /// How long (without: until it is ended)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,
    #[command(flatten)]
    card: OfCard,
}

pub fn run(options: &Options) -> Result<(), Failure> {
    let Options { one, other, seconds, card: settings } = options;
    let (memory, mac) = (settings.connection.memory()?, settings.address());
    let queues = settings.connection.queues;
    let pools = [pools(&memory, queues)?, pools(&memory, queues)?];
    let [of_one, of_other] = &pools;
    let mut one = settings.connect(one, &memory, of_one, mac)?;
    let mut other = settings.connect(other, &memory, of_other, mac)?;
    eprintln!("forwarding");
    let (mut frames, mut dropped, mut rate) = (0, 0, Rate::new("forwarded"));
    let mut burst = Vec::with_capacity(2 * BURST);
    while !rate.is_over(frames, *seconds) {
        let mut came = 0;
        for pair in 0..one.pairs() {
            for is_back in [false, true] {
                let (from, to) = if is_back { (&mut other, &mut one) } else { (&mut one, &mut other) };
                came += from.receive_burst(pair, BURST, |frame| burst.push(frame))?;
                let count = burst.len();
                let forwarded = to.transmit_burst(pair, burst.drain(..));
                // What has no room is dropped, as a switch would.
                let forwarded = forwarded.unwrap_or_else(|burst| burst.transmitted);
                frames += forwarded as u64;
                dropped += (count - forwarded) as u64;
            }
        }
        if came == 0 {
            rest(settings, &mut one, &mut other);
        }
    }
    let restarts = one.restarts() + other.restarts();
    println!(
        "{}, {dropped} dropped, {} lost{}",
        rate.total(frames),
        one.lost() + other.lost(),
        again(restarts)
    );
    Ok(())
}

/// One of both at a time can be slept for, so not for long.
fn rest(settings: &OfCard, one: &mut Card<'_>, other: &mut Card<'_>) {
    if settings.connection.interrupts {
        one.wait(Duration::from_millis(1));
        other.wait(Duration::from_millis(1));
    } else {
        std::hint::spin_loop();
    }
}
