//! A relay between the pool and its node that knows which function is called, and breaks in where a test wants it to.

use serde_json::Value;
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

/// What is made of each answer to a function from now on.
pub struct Change {
    pub method: &'static str,
    /// Changes the result.
    pub change: Box<dyn Fn(&mut Value) + Send>,
}

/// A relay. Its threads end with the connections that they serve.
pub struct Relay {
    port: u16,
    breaks: Arc<Mutex<Breaks>>,
}

/// What happens to calls.
#[derive(Default)]
struct Breaks {
    trap: Option<Trap>,
    change: Option<Change>,
}

impl Relay {
    /// Begins to carry calls to a port on this machine.
    pub fn start(node: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let breaks = Arc::<Mutex<Breaks>>::default();
        let shared = Arc::clone(&breaks);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let breaks = Arc::clone(&shared);
                // Either side may go at any time: that is what the relay is for.
                std::thread::spawn(move || drop(carry(stream, node, &breaks)));
            }
        });
        Self { port, breaks }
    }

    /// Where the pool finds its node.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the trap for the next call of its function.
    pub fn set(&self, trap: Trap) {
        self.breaks.lock().unwrap().trap = Some(trap);
    }

    /// Changes every answer to a function.
    pub fn change(&self, change: Change) {
        self.breaks.lock().unwrap().change = Some(change);
    }
}

/// Carries one call and its answer.
fn carry(mut from: TcpStream, node: u16, breaks: &Mutex<Breaks>) -> io::Result<()> {
    let (head, body) = request(&mut from)?;
    let call: Value = serde_json::from_slice(&body).unwrap_or_default();
    let method = call["method"].as_str().unwrap_or_default();
    let lock = || breaks.lock().unwrap_or_else(PoisonError::into_inner);
    let sprung = lock().trap.take_if(|trap| trap.method == method);
    let Some(Trap { when, spring, .. }) = sprung else {
        let mut answer = exchange(&head, &body, node)?;
        if let Some(change) = lock().change.as_ref().filter(|change| change.method == method) {
            answer = changed(&answer, &change.change);
        }
        return from.write_all(&answer);
    };
    if when == When::After {
        exchange(&head, &body, node)?;
    }
    spring();
    from.shutdown(Shutdown::Both)
}

/// Returns an answer with another result, whose length is stated anew.
fn changed(answer: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let Ok(mut body) = serde_json::from_str::<Value>(body) else { return answer.to_vec() };
    change(&mut body["result"]);
    let body = body.to_string();
    let kept = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
    let head: String = kept.map(|line| format!("{line}\r\n")).collect();
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
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
