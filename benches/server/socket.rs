//! Connections by hand: they must cost next to nothing, and some of what is sent here no
//! client library would send.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use memchr::memmem;

use super::Outcome;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// As much as is sent at once of a body without a length, in bytes.
const CHUNK: usize = 64 * 1024;

const UPGRADE: &str = "GET /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-protocol: graphql-transport-ws\r\n\r\n";

/// A connection to the server.
pub(crate) struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Socket {
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let unread = Vec::new();
        Ok(Self { stream, unread })
    }

    /// Connects and speaks `graphql-transport-ws` up to the server's acknowledgement.
    pub(crate) fn websocket(address: &str) -> Outcome<Self> {
        Self::connect(address)?.upgraded()
    }

    /// Makes a WebSocket of a connection that is new.
    pub(crate) fn upgraded(mut self) -> Outcome<Self> {
        self.send(UPGRADE.as_bytes())?;
        self.until(b"\r\n\r\n")?;
        self.send(&text_frame(br#"{"type":"connection_init"}"#))?;
        self.until(b"connection_ack\"}")?;
        Ok(self)
    }

    /// The same connection for tasks, with nothing unread.
    pub(crate) fn into_tokio(self) -> io::Result<tokio::net::TcpStream> {
        self.stream.set_nonblocking(true)?;
        tokio::net::TcpStream::from_std(self.stream)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends `bytes` while it reads: the server may answer before it has everything. Ends when
    /// `is_whole`, or when the server ends the connection.
    pub(crate) fn exchange(
        mut self,
        bytes: &[u8],
        is_whole: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Vec<u8>> {
        let mut writing = self.stream.try_clone()?;
        thread::scope(|scope| {
            // The server is free to stop reading.
            scope.spawn(move || drop(writing.write_all(bytes)));
            let read = loop {
                if is_whole(&self.unread) {
                    break Ok(());
                }
                match self.read() {
                    Ok(0) => break Ok(()),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            // Ends the writing; it may have ended already.
            let _ = self.stream.shutdown(Shutdown::Both);
            read.map(|()| self.unread)
        })
    }

    /// Reads on until `end` comes, and counts what has `mark` before it.
    pub(crate) fn count(&mut self, mark: &[u8], end: &[u8]) -> Outcome<usize> {
        let (mark, end) = (memmem::Finder::new(mark), memmem::Finder::new(end));
        let keep = mark.needle().len().max(end.needle().len()) - 1;
        let mut count = 0;
        loop {
            if self.read()? == 0 {
                return Err("the server closed the connection".into());
            }
            // What is kept for the next look is too short for a second count of the same.
            let seen = self.unread.len().saturating_sub(keep);
            count += mark.find_iter(&self.unread).filter(|at| *at < seen).count();
            if end.find(&self.unread).is_some() {
                return Ok(count);
            }
            self.unread.drain(..seen);
        }
    }

    fn until(&mut self, end: &[u8]) -> Outcome {
        loop {
            if let Some(at) = memmem::find(&self.unread, end) {
                self.unread.drain(..at + end.len());
                return Ok(());
            }
            if self.read()? == 0 {
                let said = String::from_utf8_lossy(&self.unread);
                return Err(format!("the server said {said:?}").into());
            }
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 * 1024];
        let length = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..length]);
        Ok(length)
    }
}

/// A POST of a GraphQL request.
pub(crate) fn post(body: &[u8], accept: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A POST of a body in chunks, whose length nobody knows before.
pub(crate) fn post_in_chunks(body: &[u8]) -> Vec<u8> {
    let mut request = b"POST /graphql HTTP/1.1\r\nhost: localhost\r\n\
        content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_vec();
    for chunk in body.chunks(CHUNK) {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request
}

/// A `subscribe` message.
pub(crate) fn subscribe(id: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(r#"{{"type":"subscribe","id":"{id}","payload":"#);
    text_frame(&[head.as_bytes(), payload, b"}"].concat())
}

/// The first frame of a server, if it is all there: what it is and what it says. A close
/// frame is its code. The longest answer here has a length of two bytes.
pub(crate) fn frame(bytes: &[u8]) -> Option<(&'static str, &[u8])> {
    const CLOSE: u8 = 0x88;
    let (&[first, short], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match short {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u16::from_be_bytes(*length), rest)
        }
        short => (short.into(), rest),
    };
    let kind = match first {
        CLOSE => "closed",
        _ => "message",
    };
    Some((kind, rest.get(..length.into())?))
}

/// A client's frame, masked with zeros, which leave it as it is (RFC 6455, section 5.3).
fn text_frame(text: &[u8]) -> Vec<u8> {
    const TEXT: u8 = 0x81;
    const MASKED: u8 = 0x80;
    let mut frame = vec![TEXT];
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(length @ ..126), _) => frame.push(MASKED | length),
        (_, Ok(length)) => {
            frame.push(MASKED | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(MASKED | 127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text);
    frame
}
