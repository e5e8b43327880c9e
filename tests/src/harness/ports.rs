//! Ports for processes that tests start, so that no two tests are given the same one.

use anyhow::{Context, Result};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The ports that tests use. `deploy/local/servers.py` takes those from 20,000 on, and the kernel takes
/// those of outgoing connections from 32,768 on. Neither is given the port of a process that is down.
const PORTS: Range<u16> = 10_000..20_000;
/// How many ports a test program claims at once.
const BLOCK: u16 = 100;

/// The blocks that this program has claimed, and the ports that are left of the last one.
struct Claimed {
    /// Locked until the program ends.
    locks: Vec<File>,
    left: Range<u16>,
}

/// An address that nobody listens on and no other test is given: a process that was stopped finds its
/// own address free when it starts again.
///
/// # Errors
/// When all ports are claimed.
pub fn free_address() -> Result<SocketAddr> {
    static CLAIMED: Mutex<Claimed> = Mutex::new(Claimed {
        locks: Vec::new(),
        left: 0..0,
    });
    let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let Some(port) = claimed.left.next() else {
            let (lock, ports) = claim()?;
            claimed.locks.push(lock);
            claimed.left = ports;
            continue;
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // Some other program of this machine may have it.
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
}

/// Claims a block of ports. Programs run at the same time, such as every test of cargo-nextest, so a
/// block is locked by a file; the lock ends with the program that has it.
fn claim() -> Result<(File, Range<u16>)> {
    let blocks = (PORTS.end - PORTS.start) / BLOCK;
    let first = u16::try_from(std::process::id() % u32::from(blocks))?;
    let tried = (0..blocks).map(|number| (first + number) % blocks).find_map(|block| {
        let path = std::env::temp_dir().join(format!("tollbridge-ports-{block}"));
        // A file that cannot be opened is another user's.
        let file = File::options().create(true).append(true).open(path).ok()?;
        let start = PORTS.start + block * BLOCK;
        file.try_lock().is_ok().then_some((file, start..start + BLOCK))
    });
    tried.context("every block of ports is claimed by another program")
}
