//! A pipe through which the kernel moves bytes from one socket to another without copying them to us (`splice(2)`).

#[cfg(target_os = "linux")]
pub(super) use linux::Pipe;
#[cfg(not(target_os = "linux"))]
pub(super) use none::Pipe;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};

    use rustix::io::retry_on_intr;
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
    use tokio::io::Interest;
    use tokio::net::TcpStream;
    use tokio::sync::OwnedSemaphorePermit;

    /// Most bytes asked for at once: as large as pipes get without privileges.
    const MOST: usize = 1 << 20;

    #[derive(Debug)]
    pub(in super::super) struct Pipe {
        read: OwnedFd,
        write: OwnedFd,
        held: usize,
        _counted: OwnedSemaphorePermit,
    }

    impl Pipe {
        /// None where the process or the user has no more pipes to give: then one copies.
        pub(in super::super) fn open(size: usize, counted: OwnedSemaphorePermit) -> Option<Pipe> {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
            // A smaller pipe is slower, not wrong: a user who has many large ones already gets no more.
            let _ = fcntl_setpipe_size(&write, size);
            Some(Pipe { read, write, held: 0, _counted: counted })
        }

        pub(in super::super) fn is_empty(&self) -> bool {
            self.held == 0
        }

        /// Take bytes from a socket into this pipe, which must be empty, or a full pipe would look like a dry socket.
        /// 0 is the end of the stream.
        pub(in super::super) fn fill(&mut self, from: &TcpStream) -> io::Result<usize> {
            debug_assert!(self.is_empty());
            let count = from.try_io(Interest::READABLE, || pass(from, &self.write, MOST))?;
            self.held += count;
            Ok(count)
        }

        /// Pass what is held on to a socket, as far as it takes it, and at most so many bytes.
        pub(in super::super) fn drain(&mut self, to: &TcpStream, most: usize) -> io::Result<usize> {
            let count = to.try_io(Interest::WRITABLE, || pass(&self.read, to, self.held.min(most)))?;
            self.held = self.held.saturating_sub(count);
            Ok(count)
        }
    }

    fn pass(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        Ok(retry_on_intr(|| splice(&from, None, &to, None, most, flags))?)
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::io;

    use tokio::net::TcpStream;
    use tokio::sync::OwnedSemaphorePermit;

    /// There is none on this system.
    #[derive(Debug)]
    pub(in super::super) enum Pipe {}

    impl Pipe {
        pub(in super::super) fn open(_size: usize, _counted: OwnedSemaphorePermit) -> Option<Pipe> {
            None
        }

        pub(in super::super) fn is_empty(&self) -> bool {
            match *self {}
        }

        pub(in super::super) fn fill(&mut self, _from: &TcpStream) -> io::Result<usize> {
            match *self {}
        }

        pub(in super::super) fn drain(&mut self, _to: &TcpStream, _most: usize) -> io::Result<usize> {
            match *self {}
        }
    }
}
