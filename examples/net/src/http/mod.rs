//! Mode `serve`: pages over HTTP, until one of them is `/quit`.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | what the card and its driver are |
//! | `GET /10M`, or any other number up to 1024 | a file of so many MiB |
//! | `GET /10M.sha256` | its sum, for `sha256sum -c` |
//! | `PUT /` | the sum of what was sent, for `curl -T FILE` |
//! | `GET /quit` | a last word |

mod connection;
mod contents;
mod page;

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use example_platform::println;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;

use connection::{Connection, Turn};

use crate::options;
use crate::stack::Stack;

/// As many clients are served at a time; others have to try again.
const CONNECTIONS: usize = 8;
/// Memory of each connection for one direction: as much as TCP has under way without window scaling.
const SOCKET_BYTES: usize = 1 << 16;

/// Serves pages, until the last one is asked for.
pub fn serve(stack: &mut Stack) -> Result<(), String> {
    let port = options::value("port", 80_u16)?;
    let mut connections: Vec<(SocketHandle, Connection)> = (0..CONNECTIONS)
        .map(|_| {
            let buffer = || tcp::SocketBuffer::new(alloc::vec![0; SOCKET_BYTES]);
            let mut socket = tcp::Socket::new(buffer(), buffer());
            // What is sent is sent in pieces as large as there is room for anyway.
            socket.set_nagle_enabled(false);
            (stack.sockets.add(socket), Connection::new())
        })
        .collect();
    println!("serving at port {port}: /, /10M, /10M.sha256, /quit");
    let about = String::from(stack.about());
    stack.run(|sockets| {
        for (handle, connection) in &mut connections {
            match connection.turn(sockets.get_mut::<tcp::Socket<'_>>(*handle), port, &about)? {
                Turn::Quiet => {}
                Turn::Served(request) => println!("served {request}"),
                Turn::Last => return Ok(ControlFlow::Break(())),
            }
        }
        Ok(ControlFlow::Continue(None))
    })
}
