//! Ports for the processes of tests. No two tests get the same port.

use anyhow::{Context, Result};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The ports for tests. `deploy/local/servers.py` uses ports from 20,000 on, and Linux uses ports from 32,768 on
/// for outgoing connections. So neither takes the port of a stopped process.
const PORTS: Range<u16> = 10_000..20_000;
/// The number of ports that a test program reserves at once.
const BLOCK: u16 = 100;

/// The blocks that this program has reserved, and the unused ports of the last one.
struct ReservedPorts {
    /// The lock files; locked until the program ends.
    locks: Vec<File>,
    left: Range<u16>,
}

/// A free address that no other test gets. A stopped process finds its address free when it starts again.
///
/// # Errors
/// When all ports are reserved.
pub fn free_address() -> Result<SocketAddr> {
    static RESERVED: Mutex<ReservedPorts> = Mutex::new(ReservedPorts {
        locks: Vec::new(),
        left: 0..0,
    });
    let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let Some(port) = reserved.left.next() else {
            let (lock, ports) = reserve()?;
            reserved.locks.push(lock);
            reserved.left = ports;
            continue;
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // Another program on this machine may use it.
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
}

/// Reserves a block of ports with a file lock, because test programs may run at the same time. The lock ends with
/// the program.
fn reserve() -> Result<(File, Range<u16>)> {
    let blocks = (PORTS.end - PORTS.start) / BLOCK;
    let first = u16::try_from(std::process::id() % u32::from(blocks))?;
    let tried = (0..blocks).map(|number| (first + number) % blocks).find_map(|block| {
        let path = std::env::temp_dir().join(format!("tollbridge-ports-{block}"));
        // A file that cannot be opened belongs to another user.
        let file = File::options().create(true).append(true).open(path).ok()?;
        let start = PORTS.start + block * BLOCK;
        file.try_lock().is_ok().then_some((file, start..start + BLOCK))
    });
    tried.context("every block of ports is reserved by another program")
}
