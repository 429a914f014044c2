//! A web server on a virtio network card, without an operating system.
//!
//! `make demo EXAMPLE=net` boots it under QEMU and fetches a page. It answers pings as well, and sleeps while there is nothing to do. Its random numbers are from an entropy device, if there is one
//! (QEMU: `-device virtio-rng-pci`). The command line says more:
//!
//! | word | what it says |
//! |---|---|
//! | `mode=serve` or `mode=ping` | what to do: serve pages (`http/mod.rs` has them), or ping the gateway |
//! | `address=10.0.2.15/24`, `gateway=10.0.2.2` | where this machine is; so it is in QEMU's user network |
//! | `port=80` | where the server listens |
//! | `count=10000` | how many pings; one after the other |
//! | `checksums=off` | the card is to leave checksums alone |
//! | `interrupts=msi-x`, `line` or `polling` | how the card says that there is something; the best there is, if nothing is asked for |

#![no_std]
#![no_main]

extern crate alloc;

mod card;
mod http;
mod options;
mod ping;
mod random;
mod stack;

use alloc::string::String;

use example_platform::println;

example_platform::entry!(run);

fn run() -> Result<(), String> {
    let mode = options::value("mode", String::from("serve"))?;
    let mut stack = stack::Stack::new(card::bring_up()?)?;
    match mode.as_str() {
        "serve" => http::serve(&mut stack)?,
        "ping" => ping::run(&mut stack)?,
        _ => return Err(alloc::format!("mode={mode} is not known: take serve or ping")),
    }
    stack.into_card().take_down()?;
    println!("net example: done");
    Ok(())
}
