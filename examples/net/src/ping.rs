//! Mode `ping`: this machine pings its gateway, and counts what does not come back.

use alloc::string::{String, ToString};
use core::ops::ControlFlow;
use core::time::Duration;

use example_platform::{clock, println};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr};

use crate::options;
use crate::stack::Stack;

/// How long an answer may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(1);
const DATA: [u8; 56] = [0xa5; 56];

/// A ping that is under way.
struct Sent {
    number: u16,
    at: Duration,
}

/// Pings, one after the other: the next one once an answer is there, or has not come.
pub fn run(stack: &mut Stack) -> Result<(), String> {
    let count = options::value("count", 10_000_u64)?;
    let (gateway, ident) = (stack.gateway, stack.identifier);
    let buffer =
        || icmp::PacketBuffer::new(alloc::vec![icmp::PacketMetadata::EMPTY; 4], alloc::vec![0; 1024]);
    let mut socket = icmp::Socket::new(buffer(), buffer());
    socket.bind(icmp::Endpoint::Ident(ident)).map_err(|error| error.to_string())?;
    let handle = stack.sockets.add(socket);

    let (mut sent, mut answered, mut lost) = (0, 0, 0);
    let mut number = 0_u16;
    let (mut total, mut longest) = (Duration::ZERO, Duration::ZERO);
    let mut under_way: Option<Sent> = None;
    let start = clock::now();
    stack.run(|sockets| {
        let socket = sockets.get_mut::<icmp::Socket<'_>>(handle);
        while let Ok((answer, from)) = socket.recv() {
            let number = number_of(answer, ident);
            if let Some(ping) =
                under_way.take_if(|ping| from == gateway.into() && number == Some(ping.number))
            {
                let time = clock::since(ping.at);
                (answered, total, longest) = (answered + 1, total + time, longest.max(time));
            }
        }
        if under_way.take_if(|ping| clock::since(ping.at) > PATIENCE).is_some() {
            lost += 1;
        }
        if under_way.is_some() {
            return Ok(ControlFlow::Continue(Some(PATIENCE)));
        }
        if sent == count {
            return Ok(ControlFlow::Break(()));
        }
        number = number.wrapping_add(1);
        let request = Icmpv4Repr::EchoRequest { ident, seq_no: number, data: &DATA };
        let bytes = socket.send(request.buffer_len(), gateway.into()).map_err(|error| error.to_string())?;
        request.emit(&mut Icmpv4Packet::new_unchecked(bytes), &ChecksumCapabilities::default());
        sent += 1;
        under_way = Some(Sent { number, at: clock::now() });
        Ok(ControlFlow::Continue(Some(Duration::ZERO)))
    })?;
    let mean = total.checked_div(answered).unwrap_or_default().as_micros();
    let (longest, all) = (longest.as_micros(), clock::since(start).as_millis());
    println!(
        "ping: {sent} sent, {answered} answered, {lost} lost; {mean} us on average, {longest} us at most, {all} ms in all"
    );
    if lost > 0 { Err(alloc::format!("{lost} pings were lost")) } else { Ok(()) }
}

/// The number of the ping of ours that this answers.
fn number_of(answer: &[u8], own: u16) -> Option<u16> {
    let packet = Icmpv4Packet::new_checked(answer).ok()?;
    match Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default()).ok()? {
        Icmpv4Repr::EchoReply { ident, seq_no, data } if ident == own && data == DATA => Some(seq_no),
        _ => None,
    }
}
