//! What stands between the members of a cluster, so that one can be cut off from the others and still be reached by clients.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// Relays in front of every member's port for the others.
pub(super) struct Relays(Arc<Mutex<Links>>);

/// A connection of one member to another: its two halves.
struct Link {
    from: usize,
    to: usize,
    halves: [TcpStream; 2],
}

struct Links {
    /// The processes of the members, by which it is told who connects.
    processes: Vec<Option<u32>>,
    /// The member that is cut off.
    cut: Option<usize>,
    open: Vec<Link>,
    over: bool,
}

impl Links {
    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.is_some_and(|cut| cut == from || cut == to)
    }
}

impl Relays {
    /// A relay on each of these sockets, to the port beside it.
    pub fn start(places: Vec<(TcpListener, u16)>) -> Relays {
        let links = Links { processes: vec![None; places.len()], cut: None, open: Vec::new(), over: false };
        let links = Arc::new(Mutex::new(links));
        for (to, (listener, port)) in places.into_iter().enumerate() {
            let links = Arc::clone(&links);
            std::thread::spawn(move || accept(&listener, to, port, &links));
        }
        Relays(links)
    }

    /// Say which process a member is.
    pub fn is(&self, member: usize, process: Option<u32>) {
        lock(&self.0).processes[member] = process;
    }

    /// Let nothing through from and to this member. Connections stay open, as they do where a cable is pulled.
    pub fn cut(&self, member: usize) {
        lock(&self.0).cut = Some(member);
    }

    /// Let everything through again. What was cut is closed, since bytes of it are missing.
    pub fn heal(&self) {
        let mut links = lock(&self.0);
        let Some(cut) = links.cut.take() else { return };
        links.open.retain(|link| {
            let stays = link.from != cut && link.to != cut;
            if !stays {
                link.halves.iter().for_each(close);
            }
            stays
        });
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        let mut links = lock(&self.0);
        links.over = true;
        links.open.iter().flat_map(|link| &link.halves).for_each(close);
    }
}

fn lock(links: &Mutex<Links>) -> MutexGuard<'_, Links> {
    links.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn close(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

/// Relay until the process ends: a listener that is closed would free a port that a member still counts on.
fn accept(listener: &TcpListener, to: usize, port: u16, links: &Arc<Mutex<Links>>) {
    for arrived in listener.incoming().map_while(Result::ok) {
        let processes = lock(links).processes.clone();
        let Some(from) = sender(&arrived, &processes) else { continue };
        let Ok(onward) = TcpStream::connect(("127.0.0.1", port)) else { continue };
        let halves = [arrived.try_clone().unwrap(), onward.try_clone().unwrap()];
        {
            let mut links = lock(links);
            if links.over {
                return;
            }
            links.open.push(Link { from, to, halves });
        }
        for (source, sink) in [(arrived.try_clone(), onward.try_clone()), (Ok(onward), Ok(arrived))] {
            let (source, sink, links) = (source.unwrap(), sink.unwrap(), Arc::clone(links));
            std::thread::spawn(move || copy(source, sink, from, to, &links));
        }
    }
}

fn copy(mut source: TcpStream, mut sink: TcpStream, from: usize, to: usize, links: &Mutex<Links>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(length @ 1..) = source.read(&mut bytes) {
        if !lock(links).is_cut(from, to) && sink.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    close(&source);
    close(&sink);
}

/// Which of these processes is at the other end of a connection on this machine.
fn sender(arrived: &TcpStream, processes: &[Option<u32>]) -> Option<usize> {
    let port = arrived.peer_addr().ok()?.port();
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let own = format!("0100007F:{port:04X}");
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let inode =
        row.filter(|row| row.get(1) == Some(&own.as_str())).find_map(|row| row.get(9).map(|id| id.to_string()))?;
    let socket = format!("socket:[{inode}]");
    processes.iter().position(|process| {
        let files = process.map(|process| std::fs::read_dir(format!("/proc/{process}/fd")));
        let Some(Ok(files)) = files else { return false };
        let mut targets = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.any(|target| target.to_str() == Some(socket.as_str()))
    })
}
