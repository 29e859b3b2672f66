//! The ways between nodes, in the hands of a test: each node is reached through a port of the test's own, which delays what passes, and lets nothing pass a
//! wall between two sides.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long every byte is on its way.
const LATENCY: Duration = Duration::from_millis(20);

/// What stands, or does not, between two sides.
#[derive(Default)]
pub struct Wall(Mutex<State>);

#[derive(Default)]
struct State {
    stands: bool,
    /// On which side a node is, by the port that it listens at and calls from.
    sides: BTreeMap<u16, usize>,
    /// Connections that a wall cuts.
    crossing: Vec<TcpStream>,
}

/// The way to a node.
pub struct Way {
    /// Where the node is called.
    pub port: u16,
    to: Arc<OnceLock<u16>>,
}

impl Way {
    /// Opens a way to a node of this side. It is there as long as the test's process.
    pub fn open(side: usize, wall: &Arc<Wall>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let to = Arc::new(OnceLock::new());
        let (wall, leads_to) = (Arc::clone(wall), Arc::clone(&to));
        std::thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                if let Some(to) = leads_to.get() {
                    connect(caller, *to, side, &wall);
                }
            }
        });
        Self { port, to }
    }

    /// Has the way lead to the node that listens at a port.
    pub fn leads_to(&self, port: u16, side: usize, wall: &Wall) {
        wall.0.lock().unwrap().sides.insert(port, side);
        self.to.set(port).unwrap();
    }
}

impl Wall {
    /// Puts the wall up: what crosses it ends.
    pub fn raise(&self) {
        let mut state = self.0.lock().unwrap();
        state.stands = true;
        for stream in state.crossing.drain(..) {
            // The nodes may have ended it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Takes the wall down.
    pub fn fall(&self) {
        self.0.lock().unwrap().stands = false;
    }
}

/// Connects a caller with a node, if no wall is between them. Nodes call from the port that they listen at; whoever does not, may be on any side.
fn connect(caller: TcpStream, to: u16, side: usize, wall: &Wall) {
    let Ok(from) = caller.peer_addr() else { return };
    let mut state = wall.0.lock().unwrap();
    let crosses = state.sides.get(&from.port()) != Some(&side);
    if crosses && state.stands {
        return;
    }
    let Ok(node) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { return };
    for stream in [&caller, &node] {
        stream.set_nodelay(true).unwrap();
        if crosses {
            state.crossing.push(stream.try_clone().unwrap());
        }
    }
    let back = (node.try_clone().unwrap(), caller.try_clone().unwrap());
    carry(caller, node);
    carry(back.0, back.1);
}

/// Carries bytes one way, each for its time, until one end has gone.
fn carry(mut from: TcpStream, to: TcpStream) {
    let (sender, carried) = channel();
    std::thread::spawn(move || deliver(to, &carried));
    std::thread::spawn(move || {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if sender.send((Instant::now() + LATENCY, bytes[..count].to_vec())).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Read);
    });
}

fn deliver(mut to: TcpStream, carried: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((due, bytes)) = carried.recv() {
        while let Some(rest) = due.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
            std::thread::park_timeout(rest);
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
