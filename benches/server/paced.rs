//! A model provider that gives 50 tokens a second, each with the time in it at which it was
//! sent.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::Outcome;
use super::load::is_whole;
use super::table::say;
use super::upstream;

/// The tokens of an answer.
pub(crate) const TOKENS: usize = 200;
const INTERVAL: Duration = Duration::from_millis(20);

/// What stands where the time shall be.
const TIME: &str = "TIME";

/// Small: there is a thread for each connection.
const STACK_BYTES: usize = 128 * 1024;

/// What an answer is made of.
struct Script {
    first: String,
    before_time: String,
    after_time: String,
    last: String,
    /// How many answers have begun.
    begun: AtomicU32,
}

/// Serves until killed. Each connection has a thread, which sleeps between two tokens: the
/// kernel's timer is some 0.05 ms late, a runtime's up to 1 ms, and then for many at once.
pub(crate) fn serve() -> Outcome {
    let token = upstream::token(&format!("{TIME} "));
    let (before_time, after_time) = token.split_once(TIME).ok_or("no time in a token")?;
    let script = Arc::new(Script {
        first: upstream::first(),
        before_time: before_time.to_owned(),
        after_time: after_time.to_owned(),
        last: upstream::last(TOKENS).concat(),
        begun: AtomicU32::new(0),
    });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(&listener.local_addr()?.to_string())?;
    for connection in listener.incoming() {
        let (connection, script) = (connection?, Arc::clone(&script));
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        // A client that goes away ends its own connection and nothing else.
        thread.spawn(move || drop(script.serve(connection)))?;
    }
    Ok(())
}

impl Script {
    fn serve(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        while is_asked(&mut connection)? {
            self.answer(&mut connection)?;
        }
        Ok(())
    }

    fn answer(&self, connection: &mut TcpStream) -> io::Result<()> {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        connection.write_all(head.as_bytes())?;
        send(connection, &self.first)?;
        // Real answers do not keep step: steps of the golden ratio spread them evenly.
        let nth = self.begun.fetch_add(1, Ordering::Relaxed);
        let mut due = Instant::now() + INTERVAL.mul_f64((f64::from(nth) * 0.618_034).fract());
        for _ in 0..TOKENS {
            #[expect(clippy::disallowed_methods, reason = "the thread has no tasks")]
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due += INTERVAL;
            let (before, after) = (&self.before_time, &self.after_time);
            send(connection, &format!("{before}{}{after}", micros()))?;
        }
        send(connection, &self.last)?;
        connection.write_all(b"0\r\n\r\n")
    }
}

/// Reads a request to its end; false when there is none any more.
fn is_asked(connection: &mut TcpStream) -> io::Result<bool> {
    let (mut request, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    while !is_whole(&request) {
        let length = connection.read(&mut buffer)?;
        if length == 0 {
            return Ok(false);
        }
        request.extend_from_slice(&buffer[..length]);
    }
    Ok(true)
}

/// Sends a chunk in one packet.
fn send(connection: &mut TcpStream, text: &str) -> io::Result<()> {
    connection.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
}

/// The time, in microseconds, as every process of this machine sees it.
pub(crate) fn micros() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    time.map_or(0, |time| {
        u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
    })
}
