//! A relay between the pool and its node that knows which function is called, and breaks in where a test wants it to.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// When a trap goes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The call is not carried on.
    Before,
    /// The node has answered, and the answer is not carried back.
    After,
}

/// What happens to the next call of a function.
pub struct Trap {
    pub method: &'static str,
    pub when: When,
    /// Done once, before the connection is dropped.
    pub spring: Box<dyn FnOnce() + Send>,
}

/// A relay. Its threads end with the connections that they serve.
pub struct Relay {
    port: u16,
    trap: Arc<Mutex<Option<Trap>>>,
}

impl Relay {
    /// Begins to carry calls to a port on this machine.
    pub fn start(node: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let trap = Arc::<Mutex<Option<Trap>>>::default();
        let shared = Arc::clone(&trap);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let trap = Arc::clone(&shared);
                // Either side may go at any time: that is what the relay is for.
                std::thread::spawn(move || drop(carry(stream, node, &trap)));
            }
        });
        Self { port, trap }
    }

    /// Where the pool finds its node.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the trap for the next call of its function.
    pub fn set(&self, trap: Trap) {
        *self.trap.lock().unwrap() = Some(trap);
    }
}

/// Carries one call and its answer.
fn carry(mut from: TcpStream, node: u16, trap: &Mutex<Option<Trap>>) -> io::Result<()> {
    let (head, body) = request(&mut from)?;
    let call: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let method = call["method"].as_str().unwrap_or_default();
    let sprung = trap.lock().unwrap_or_else(PoisonError::into_inner).take_if(|trap| trap.method == method);
    let Some(Trap { when, spring, .. }) = sprung else {
        let answer = exchange(&head, &body, node)?;
        return from.write_all(&answer);
    };
    if when == When::After {
        exchange(&head, &body, node)?;
    }
    spring();
    from.shutdown(Shutdown::Both)
}

fn exchange(head: &str, body: &[u8], node: u16) -> io::Result<Vec<u8>> {
    let mut to = TcpStream::connect(("127.0.0.1", node))?;
    let kept = head.lines().filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("connection:"));
    let head: String = kept.map(|line| format!("{line}\r\n")).collect();
    to.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    to.write_all(body)?;
    let mut answer = Vec::new();
    to.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Reads a request: its head as it came, and its body.
fn request(from: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut held = Vec::new();
    let mut more = |held: &mut Vec<u8>| {
        let mut input = [0; 4096];
        match from.read(&mut input)? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            count => {
                held.extend_from_slice(&input[..count]);
                Ok(())
            }
        }
    };
    let end = loop {
        if let Some(at) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        more(&mut held)?;
    };
    let head = String::from_utf8_lossy(&held[..end]).into_owned();
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let length: usize = length.unwrap_or(0);
    while held.len() < end + length {
        more(&mut held)?;
    }
    Ok((head, held.split_off(end)))
}
