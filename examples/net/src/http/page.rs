//! What a request is for, and what it is answered.

use alloc::string::String;
use alloc::vec::Vec;

use httparse::{EMPTY_HEADER, Request, Status};

use super::contents;

/// As many headers as a request may have.
const HEADERS_MAX: usize = 32;
const MIB: u64 = 1 << 20;
const MIB_MAX: u64 = 1024;

/// A request, understood.
pub struct Asked {
    /// Method and path, for the log.
    pub name: String,
    /// Bytes of it, up to its body.
    pub bytes: usize,
    pub wish: Wish,
}

/// What is to be done.
pub enum Wish {
    /// To answer.
    Answer(Answer),
    /// To take so many bytes, and to answer their sum.
    Sum(u64),
}

/// An answer.
pub struct Answer {
    /// Everything before the file.
    pub head: Vec<u8>,
    /// Bytes of the file after it.
    pub file_bytes: u64,
    /// Whether nothing is answered after that.
    pub is_last: bool,
}

impl Answer {
    /// A text, with a status of HTTP's.
    pub fn text(status: &str, text: &str) -> Self {
        let head = alloc::format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
        Self { head: head.into(), file_bytes: 0, is_last: false }
    }

    fn file(bytes: u64) -> Self {
        let head = alloc::format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n"
        );
        Self { head: head.into(), file_bytes: bytes, is_last: false }
    }
}

/// Understands a request, once all of its head is there. One that makes no sense is answered, too.
pub fn understand(request: &[u8], about: &str) -> Option<Asked> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = Request::new(&mut headers);
    let bytes = match parsed.parse(request) {
        Ok(Status::Complete(bytes)) => bytes,
        Ok(Status::Partial) => return None,
        Err(_) => {
            let wish = Wish::Answer(Answer::text("400 Bad Request", "this is no HTTP\n"));
            return Some(Asked { name: "nonsense".into(), bytes: request.len(), wish });
        }
    };
    let (method, path) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let wish = match method {
        "GET" => Wish::Answer(page(path, about)),
        "PUT" => {
            let length =
                parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let length = length.and_then(|header| core::str::from_utf8(header.value).ok()?.parse().ok());
            length.map_or_else(
                || Wish::Answer(Answer::text("411 Length Required", "how long is it?\n")),
                Wish::Sum,
            )
        }
        _ => Wish::Answer(Answer::text("405 Method Not Allowed", "GET and PUT are what there is\n")),
    };
    Some(Asked { name: alloc::format!("{method} {path}"), bytes, wish })
}

fn page(path: &str, about: &str) -> Answer {
    match path {
        "/" => return Answer::text("200 OK", about),
        "/quit" => return Answer { is_last: true, ..Answer::text("200 OK", "bye\n") },
        _ => {}
    }
    let (name, is_sum) = path.strip_suffix(".sha256").map_or((path, false), |name| (name, true));
    let mib = name.strip_prefix('/').and_then(|name| name.strip_suffix('M')?.parse::<u64>().ok());
    match mib.filter(|mib| *mib <= MIB_MAX) {
        Some(mib) if is_sum => {
            Answer::text("200 OK", &alloc::format!("{}  {mib}M\n", contents::sum(mib * MIB)))
        }
        Some(mib) => Answer::file(mib * MIB),
        None => Answer::text("404 Not Found", "there is /, /10M, /10M.sha256 and /quit\n"),
    }
}
